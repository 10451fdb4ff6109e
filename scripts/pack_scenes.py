"""Pack the frames of a config's scenes at its image size, so that training reads them without decoding.

    python scripts/pack_scenes.py --config configs/gnt_scannet.txt --jobs 16
    python scripts/pack_scenes.py --config configs/gnt_rooms.txt --rootdir /data/gpnerf

Takes the flags of the program besides its own. Scenes to train, validate and evaluate on are packed, each into
packed/<size>.npy in its folder; those that are packed already, from the files as they are now, are skipped, so an
interrupted run goes on where it stopped. Readers take a packed file while no picture has changed, and give the same
numbers with and without it. It can be deleted at any time; the pictures must stay.
"""

import argparse
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.assembly.data import Purpose, data_source, scene_names
from gpnerf.config import Config, parse
from gpnerf.data.catalogue import scene_folder
from gpnerf.data.packed_files import packed_size, write_packed
from gpnerf.data.scene import Scene
from gpnerf.errors import UserError, run_script

_GIGABYTE = 10**9


def main() -> None:
    args, flags = _arguments()
    if args.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, found {args.jobs}")
    scenes = _scenes(parse(flags))
    missing = {folder: scene for folder, scene in scenes.items() if scene.packed is None}
    _require_space(missing)
    # A forked copy of a process that has computed with threads can hang.
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("forkserver")) as pool:
        for _ in tqdm(pool.map(_write, missing.values(), missing), total=len(missing), unit="scene"):
            pass
    print(f"{len(scenes)} scenes packed ({len(scenes) - len(missing)} were already)")


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """This script's own option, and the flags for the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that pack scenes side by side")
    return parser.parse_known_args()


def _scenes(config: Config) -> dict[Path, Scene]:
    """Every scene that the config names, by its folder."""
    wanted: list[tuple[str, Purpose]] = [(dataset, "training") for dataset in config.data.train_dataset.split("+")]
    wanted += [(config.data.eval_dataset, "validation"), (config.data.eval_dataset, "evaluation")]
    found = {}
    for dataset, purpose in wanted:
        source = data_source(config, dataset)
        for scene in source.open(scene_names(config, source.protocol, purpose), every_sequence=purpose == "training"):
            found[scene_folder(config.run.rootdir, source.protocol.dataset, scene.name)] = scene
    return found


def _require_space(scenes: dict[Path, Scene]) -> None:
    needed = sum(packed_size(scene) for scene in scenes.values())
    for folder in list(scenes)[:1]:
        free = shutil.disk_usage(folder).free
        print(f"{len(scenes)} scenes to pack, {needed / _GIGABYTE:.1f} GB")
        if needed > free:
            raise UserError(
                f"{folder.parent}: expected {needed / _GIGABYTE:.1f} GB of free disk for packed frames, found "
                f"{free / _GIGABYTE:.1f} GB; free some, or name fewer scenes (--train_set_list, --val_set_list)"
            )


def _write(scene: Scene, folder: Path) -> None:
    cv2.setNumThreads(1)  # the processes share the cores already
    write_packed(scene, folder)


if __name__ == "__main__":
    run_script(main)
