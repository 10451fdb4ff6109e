"""Fly through a scene in the browser: coarse pictures while the camera moves, finer ones when it rests.

    python scripts/view.py --config configs/gnt_rooms.txt --ckpt_path out/gnt_rooms/model_000800.pth --scene room_9000

Open the address that it prints. Drag to turn, right-drag to shift, scroll to come nearer; a click on one of the source
cameras looks from there. Buttons switch between colour, depth and what the weights tell apart. On another machine:
`ssh -L 8080:localhost:8080 MACHINE`, or --host 0.0.0.0, which anyone in the network can open. Every flag of
eval_gpnerf.py counts here too. Needs the package viser.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.assembly.viewer import build_viewer
from gpnerf.config import parse
from gpnerf.errors import UserError, run_script

_SMALLEST = 32  # rows


def main() -> None:
    args, flags = _parser().parse_known_args()
    if args.height is not None and args.height < _SMALLEST:
        raise UserError(f"--height: expected at least {_SMALLEST}, found {args.height}")
    viewer = build_viewer(parse(flags), args.scene, args.height, args.host, args.port)
    print(f"open {viewer.url} (Ctrl-C ends it)", flush=True)
    viewer.serve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--scene", required=True, help="scene of the data set eval_dataset")
    parser.add_argument("--height", type=int, help="rows of the finest picture (default: the protocol's)")
    parser.add_argument("--host", default="localhost", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port, or the next free one")
    return parser


if __name__ == "__main__":
    run_script(main)
