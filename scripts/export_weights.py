"""Write the weights of a checkpoint alone, without the state of its training.

    python scripts/export_weights.py --ckpt_path out/gnt_rooms/model_000800.pth --out rooms.pth
    python scripts/export_weights.py --ckpt_path out/gnt_rooms/model_000800.pth --out gnt.pth --layout released

The first file serves `gpnerf.load` and `--ckpt_path`; the second the released program (and `--ckpt_path`).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.checkpoint import export_weights
from gpnerf.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", type=Path, required=True, help="checkpoint of this program")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--layout", choices=("gpnerf", "released"), default="gpnerf", help="names of the weights")
    args = parser.parse_args()
    export_weights(args.ckpt_path, args.out, released=args.layout == "released")
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_script(main)
