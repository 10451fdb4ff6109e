"""Checkpoint files: written atomically, read without unpickling code."""

import os
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gpnerf.errors import UserError

_NAME = re.compile(r"model_(\d+)\.pth$")


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies in a run folder."""
    return folder / f"model_{step:06d}.pth"


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder, or None."""
    found = {int(match[1]): path for path in folder.glob("model_*.pth") if (match := _NAME.search(path.name))}
    return found[max(found)] if found else None


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a reader sees the old file or the whole new one, never a part.

    Raises:
        UserError: the file could not be written (full disk, missing rights); an older file of that name is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(
            f"{path}: the checkpoint could not be written ({error}); free some disk space and start again: "
            "training goes on from the newest complete checkpoint"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this program, of the released GP-NeRF or of GNT (tensors and plain values only).

    Raises:
        UserError: no such file, or not a whole checkpoint.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; check --ckpt_path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Bytes that are no checkpoint can make the reader fail in any way (even with an IndexError).
    except Exception as error:
        unreadable = "holds more than tensors and plain values"  # torch's own text advises to run the code in it
        text = unreadable if isinstance(error, pickle.UnpicklingError) else str(error) or type(error).__name__
        reason = text.splitlines()[0][:120]
        raise UserError(
            f"{path}: not a complete checkpoint ({path.stat().st_size} bytes; {reason}); "
            "it may be truncated: copy it again or use an earlier one"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary of weights, found {type(content).__name__}")
    return content
