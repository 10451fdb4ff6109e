"""Write ScanNet scans, as ScanNet's download script leaves them, in the layout that the `scannet` data set is read in.

    python scripts/prepare_scannet.py --scans /disk/scans --out data/scannet --scenes configs/scannetv2_test_split.txt
    python scripts/prepare_scannet.py --scans /disk/scans --out data/scannet --stride 5 --size 320 240 --jobs 8

`--scans` holds sceneXXXX_YY/sceneXXXX_YY.sens and, beside it, sceneXXXX_YY_2d-label-filt.zip and
sceneXXXX_YY_2d-instance-filt.zip. A scene appears in `--out` when it is complete: the same command after a stop or a
kill goes on with the next one. A scene that fails is named with its reason, the others go on, and the exit code is 2.

Without `--size` colour and labels are copied as they are. With it colour is blurred and shrunk, and depth, labels and
instances take the nearest pixel, just as the reader does when it opens the scene at that size; pictures are not
enlarged, and intrinsics belong to the files that are written. Depth, labels and cameras are then the same as without,
colour differs by the new JPEG code (quality 98). Results at other sizes than this one change: it is for a known size.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from threading import Event

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.data.splits import read_split
from gpnerf.errors import run_script
from gpnerf.preparation.batch import Cells, prepare_scenes, refuse_faults, summary
from gpnerf.preparation.scannet import MAPS, ScanOptions, prepare_scan
from gpnerf.preparation.scans import bring_label_table, find_scans

_MOST_JOBS = 8  # unless told otherwise: more would wait for the disk


def main() -> None:
    args = _arguments()
    size = (args.size[1], args.size[0]) if args.size else None
    maps = tuple(folder for name, folder in MAPS.items() if name not in args.without)
    names = find_scans(args.scans, read_split(args.scenes) if args.scenes else None)
    args.out.mkdir(parents=True, exist_ok=True)
    bring_label_table(args.scans, args.out)
    cv2.setNumThreads(1)  # the scenes share the cores already
    prepare = partial(_prepare, args.scans, args.out, ScanOptions(args.stride, size, maps))
    done, faults = prepare_scenes(names, prepare, args.jobs)
    print(summary(done, faults))
    refuse_faults(faults, len(names))


def _prepare(scans: Path, out: Path, options: ScanOptions, name: str, stop: Event) -> Cells:
    return prepare_scan(scans / name, out, options, stop)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--scans", type=Path, required=True, help="folder of the downloaded scans")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets a folder for each scene")
    parser.add_argument("--scenes", type=Path, help="split file: one scene a line (default: every scan with a .sens)")
    parser.add_argument("--stride", type=_count, default=1, help="take every N-th frame; frames keep their numbers")
    parser.add_argument("--size", type=_count, nargs=2, metavar=("W", "H"), help="shrink pictures to this size")
    parser.add_argument("--jobs", type=_count, default=_jobs(), help="scenes side by side (default here: %(default)s)")
    parser.add_argument("--without", nargs="+", choices=tuple(MAPS), default=(), help="archives that you do not have")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


def _jobs() -> int:
    return min(_MOST_JOBS, len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    run_script(main)
