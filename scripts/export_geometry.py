"""Write a mesh and a labelled point cloud of a scene, fused from rendered (or true) views.

    python scripts/export_geometry.py --config configs/gnt_rooms.txt --ckpt_path out/gnt_rooms/model_000800.pth \\
        --scene room_9000 --render_stride 1
    python scripts/export_geometry.py --config configs/gnt_rooms.txt --scene room_9000 --true

Without --true every n-th frame of the scene is rendered from the nearest other frames, once: a stopped run, or one with
another --voxel, goes on with what is there. out/<expname>/geometry/<scene>/ gets mesh.ply and mesh.glb (photo colours),
mesh_classes.glb, mesh_instances.glb, points.ply (x y z, red green blue, class, instance), legend.json with names and
colours, and preview.png. With weights of --task instance the labels are instances. Every flag of eval_gpnerf.py counts
here too. Needs the packages scikit-image and trimesh.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.assembly.reconstruction import GeometryRequest, export_geometry
from gpnerf.config import parse
from gpnerf.errors import UserError, run_script
from gpnerf.fusion.reconstruction import FusionSettings


def main() -> None:
    args, flags = _parser().parse_known_args()
    if args.voxel <= 0 or args.truncation < 1 or args.every < 1:
        raise UserError(
            "--voxel, --truncation, --every: expected a positive length, and at least 1 and 1, found "
            f"{args.voxel:g}, {args.truncation:g} and {args.every}"
        )
    config = parse(flags)
    settings = FusionSettings(args.voxel, args.truncation, args.smallest_piece, config.render.memory_budget)
    for path in export_geometry(config, GeometryRequest(args.scene, args.true, args.every, settings, args.out)):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--scene", required=True, help="scene of the data set eval_dataset")
    parser.add_argument("--true", action="store_true", help="fuse photos, depth and labels of the data set itself")
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--voxel", type=float, default=0.02, help="edge of a voxel (metres)")
    parser.add_argument("--truncation", type=float, default=3.0, help="reach of a depth map about a surface (voxels)")
    parser.add_argument("--smallest_piece", type=int, default=100, help="leave out pieces with fewer triangles")
    parser.add_argument("--out", type=Path, help="folder of the files")
    return parser


if __name__ == "__main__":
    run_script(main)
