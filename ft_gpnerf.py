"""Per-scene fine-tuning: continue from generalised weights on each scene of --val_set_list, then evaluate it.

    CPU:      python ft_gpnerf.py --config configs/gnt_rooms.txt --ckpt_path out/gnt_rooms/model_000800.pth
    one GPU:  python ft_gpnerf.py --config configs/gnt_scannet_ft.txt --ckpt_path model_250000.pth
    8 GPUs:   torchrun --nproc_per_node=8 ft_gpnerf.py --config configs/gnt_scannet_ft.txt ...
    2 machines, on each:
              torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 \\
                  ft_gpnerf.py --config configs/gnt_scannet_ft.txt ...

With --task instance (configs/gnt_rooms_instance.txt, configs/gnt_replica_instance.txt) the instances of each scene are
learnt instead of the classes: everything but the head's last layer starts from the general weights.

Every scene has a folder of its own in out/<expname>, with its checkpoints and its result; the table over all scenes is
in out/<expname>/summary.md. The same command goes on where a stopped run was; finished scenes are not repeated.
"""

import sys

from gpnerf.assembly import build_finetuning
from gpnerf.config import parse
from gpnerf.errors import run_script
from gpnerf.evaluation import summary_table


def main() -> None:
    run = build_finetuning(parse(sys.argv[1:]))
    results = run.run()
    if run.context.is_main:
        sys.stdout.write(f"{summary_table(results)}\nresults and pictures: {run.folder}\n")
    run.context.shutdown()


def command() -> None:
    """What `gpnerf-finetune` does where the package is installed."""
    run_script(main)


if __name__ == "__main__":
    command()
