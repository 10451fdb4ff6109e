"""Check scenes before a run: files, labels, depth, poses, and whether cameras and pictures fit together.

    python scripts/check_data.py data/rooms
    python scripts/check_data.py data/scannet --scenes scene0160_00 scene0204_00
    python scripts/check_data.py my_data --dataset scannet --out out/check_my_data

Matched points of pairs of frames tell whether poses are camera-to-world with OpenCV axes and intrinsics belong to the
pictures' size; the usual mistakes are tried, and named if they fit better. Writes report.md with pictures. Exit code: 0
if all scenes are clean, 1 if one has a mistake, 2 if there was nothing to check.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.checking.folders import DATASETS, find_scenes
from gpnerf.checking.report import write_report
from gpnerf.checking.scene_check import check_scene
from gpnerf.errors import UserError, run_script


def main() -> None:
    args = _arguments()
    if args.pairs < 1:
        raise UserError(f"--pairs: expected at least 1, found {args.pairs}")
    reports = []
    for scene in tqdm(find_scenes(args.root, args.dataset, args.scenes), unit="scene"):
        reports.append(check_scene(scene, args.pairs))
        tqdm.write(f"{scene.name}: {'clean' if reports[-1].is_clean else 'MISTAKES'}")
        for finding in reports[-1].findings:
            tqdm.write(f"  {'mistake' if finding.is_mistake else 'remark'}: {finding.text}")
    print(f"report: {write_report(args.out, reports)}")
    if not all(report.is_clean for report in reports):
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a scene, a data set such as data/rooms, or the folder of several")
    parser.add_argument("--scenes", nargs="+", default=[], help="only these (names, or their first or last parts)")
    parser.add_argument("--dataset", choices=DATASETS, help="take every folder for a scene of it (default: look)")
    parser.add_argument("--out", type=Path, default=Path("out/check_data"), help="folder of the report")
    parser.add_argument("--pairs", type=int, default=24, help="pairs of frames to compare in a scene, at most")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
