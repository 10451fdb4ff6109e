"""Evaluation: render and score the protocol's views of each scene of --val_set_list.

    CPU:      python eval_gpnerf.py --config configs/gnt_rooms.txt
    one GPU:  python eval_gpnerf.py --config configs/gnt_scannet.txt --ckpt_path model_250000.pth
    8 GPUs:   torchrun --nproc_per_node=8 eval_gpnerf.py --config configs/gnt_scannet.txt ...
    2 machines, on each:
              torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 \\
                  eval_gpnerf.py --config configs/gnt_scannet.txt ...

Results and pictures go to out/<expname>/eval/<protocol>. Without --ckpt_path the run's newest checkpoint is evaluated.
With --task instance each scene is evaluated with its own weights, which ft_gpnerf.py left in out/<expname>/<scene>.
"""

import sys

from gpnerf.assembly import build_evaluation
from gpnerf.config import parse
from gpnerf.errors import run_script
from gpnerf.evaluation import summary_table


def main() -> None:
    run = build_evaluation(parse(sys.argv[1:]))
    results = run.run()
    if run.context.is_main:
        sys.stdout.write(f"{summary_table(results)}\nresults and pictures: {run.folder}\n")
    run.context.shutdown()


def command() -> None:
    """What `gpnerf-eval` does where the package is installed."""
    run_script(main)


if __name__ == "__main__":
    command()
