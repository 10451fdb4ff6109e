"""Tiny rooms on disk, and the flags of runs on them that take seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import torch
from tiny_scenes import write_label_table, write_scannet

from gpnerf.assembly import build_training
from gpnerf.assembly.training import TrainingRun
from gpnerf.checkpoint import load_checkpoint
from gpnerf.config import parse

REPOSITORY = Path(__file__).parent.parent
HEIGHT, WIDTH = 32, 40
TRAINING_SCENE, EVALUATION_SCENES = "room_0000", ("room_9000", "room_9001")
EVALUATION_FRAMES = {4, 12}  # of the rooms protocol, for scenes of 13 to 20 frames

_SMALL = f"""
--train_dataset train_rooms --train_scenes {TRAINING_SCENE} --eval_dataset val_rooms --num_source_views 3
--original_width {WIDTH} --original_height {HEIGHT} --netwidth 8 --trans_depth 1 --coarse_feat_dim 4
--fine_feat_dim 4 --encoder_width 4 --encoder_blocks 1 1 1 --head_width 8 --N_samples 4 --N_importance 2 --n_p 1
--N_rand 16 --render_stride 2 --total_step 3 --i_print 1 --save_interval 3 --num_workers 0 --device cpu
""".split()


def write_rooms(root: Path) -> Path:
    """A training scene and two others (of different numbers of frames, so of different pictures) under `root`."""
    folder = root / "data" / "rooms"
    for frames, name in enumerate((TRAINING_SCENE, *EVALUATION_SCENES), start=13):
        write_scannet(folder / name, frames=frames, height=HEIGHT, width=WIDTH)
        for path in list((folder / name / "color").iterdir()):  # without loss, so that scores can be recomputed
            iio.imwrite(path.with_suffix(".png"), iio.imread(path))
            path.unlink()
    write_label_table(folder)
    (root / "val.txt").write_text("\n".join(EVALUATION_SCENES))
    return root


def flags(root: Path, *more: object) -> list[str]:
    """The command line of a tiny run under `root`; `more` wins."""
    places = ("--rootdir", root, "--val_set_list", root / "val.txt")
    return [str(word) for word in (*_SMALL, *places, *more)]


def training(root: Path, *more: object) -> TrainingRun:
    """A training run under `root`, not started yet."""
    return build_training(parse(flags(root, *more)))


def losses(root: Path, name: str) -> list[str]:
    """The logged lines of a run."""
    return (root / "out" / name / "losses.jsonl").read_text().splitlines()


def steps(root: Path, name: str) -> list[int]:
    """The steps of the checkpoints in a run's folder."""
    return sorted(int(path.stem[6:]) for path in (root / "out" / name).glob("model_*.pth"))


def checkpoint(root: Path, name: str, step: int) -> dict[str, Any]:
    """The content of a run's checkpoint."""
    return load_checkpoint(root / "out" / name / f"model_{step:06d}.pth")


def tensors(content: Any, place: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor and number of a checkpoint under its place."""
    if isinstance(content, dict | list | tuple):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from tensors(value, f"{place}/{key}")
    elif isinstance(content, torch.Tensor | int | float):
        yield place, torch.as_tensor(content)


def assert_same_content(one: Any, other: Any) -> None:
    """All tensors and numbers of two checkpoints agree to the last bit."""
    left, right = dict(tensors(one)), dict(tensors(other))
    assert left.keys() == right.keys()
    assert [place for place in left if not torch.equal(left[place], right[place])] == []
