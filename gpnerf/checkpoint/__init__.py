"""Reading and writing checkpoints, this program's and the released ones."""

from gpnerf.checkpoint.files import (
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from gpnerf.checkpoint.released import is_released
from gpnerf.checkpoint.weights import export_weights, load_weights

__all__ = [
    "checkpoint_path",
    "export_weights",
    "is_released",
    "load_checkpoint",
    "load_weights",
    "newest_checkpoint",
    "prune_checkpoints",
    "save_checkpoint",
]
