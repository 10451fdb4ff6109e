"""Generalised training: learn from many rooms, render and segment rooms never seen.

    CPU:      python train_gpnerf.py --config configs/gnt_rooms.txt
    one GPU:  python train_gpnerf.py --config configs/gnt_scannet.txt --ckpt_path gnt.pth
    8 GPUs:   torchrun --nproc_per_node=8 train_gpnerf.py --config configs/gnt_scannet.txt ...
    2 machines, on each:
              torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 \\
                  train_gpnerf.py --config configs/gnt_scannet.txt ...

A run lives in out/<expname>; the same command continues it from its newest checkpoint. `--help` lists all flags.
"""

import sys

from gpnerf.assembly import build_training
from gpnerf.config import parse
from gpnerf.errors import run_script


def main() -> None:
    run = build_training(parse(sys.argv[1:]))
    run.run()
    run.context.shutdown()


def command() -> None:
    """What `gpnerf-train` does where the package is installed."""
    run_script(main)


if __name__ == "__main__":
    command()
