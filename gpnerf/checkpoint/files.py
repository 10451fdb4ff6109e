"""Checkpoint files: written in one move with a checksum, read without unpickling code, pruned."""

import hashlib
import logging
import os
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gpnerf.checkpoint.contents import require_contents
from gpnerf.errors import UserError
from gpnerf.storage import require_file

_log = logging.getLogger(__name__)

_NAME = re.compile(r"model_(\d+)\.pth$")
# Behind the archive, where PyTorch's reader does not look: other programs can read the file too.
_MARK = b"\ngpnerf sha256 "
_FOOTER = len(_MARK) + 64
# A zip archive as PyTorch writes it starts with the first mark and ends with a record of this length and mark.
_ZIP, _ZIP_END, _ZIP_END_LENGTH = b"PK\x03\x04", b"PK\x05\x06", 22
_NEWEST = 2


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies in a run folder."""
    return folder / f"model_{step:06d}.pth"


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of the highest step in a run folder, or None if it has no checkpoint.

    Damaged ones are passed over with a warning.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    faults = []
    for path in reversed(_by_step(folder).values()):
        try:
            load_checkpoint(path)
        except UserError as error:
            faults.append(str(error))
            _log.warning("passed over: %s", error)
        else:
            return path
    if faults:
        raise UserError(
            f"{folder}: expected a whole checkpoint, found {len(faults)} damaged ones; "
            f"restore one, or start afresh with --no_reload (the newest: {faults[0]})"
        )
    return None


def prune_checkpoints(folder: Path, step: int, milestone: int, keep: int) -> None:
    """Delete checkpoints up to `step` but for the two newest and the newest `keep` milestones (0: all of them).

    A milestone is the checkpoint of every `milestone`-th step.
    """
    paths = {at: path for at, path in _by_step(folder).items() if at <= step}
    milestones = [at for at in paths if at % milestone == 0]
    kept = {*list(paths)[-_NEWEST:], *milestones[-keep if keep else 0 :]}
    for at, path in paths.items():
        if at not in kept:
            path.unlink(missing_ok=True)
            _log.info("deleted %s", path)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a reader sees the old file or the whole new one, never a part.

    Raises:
        UserError: the file could not be written (full disk, missing rights); an older file of that name is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        with temporary.open("w+b") as file:
            torch.save(content, file)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.write(_MARK + digest.encode())
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
        UserError: no such file, or not a whole checkpoint, or another content than was written, or no weights.
    """
    require_file(path, "a checkpoint", "check --ckpt_path")
    try:
        _refuse_damage(path)
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
    return require_contents(content, path)


def _by_step(folder: Path) -> dict[int, Path]:
    """The checkpoints of a run folder by step, lowest first."""
    found = {int(match[1]): path for path in folder.glob("model_*.pth") if (match := _NAME.search(path.name))}
    return dict(sorted(found.items()))


def _refuse_damage(path: Path) -> None:
    """Raise ValueError unless the file has the checksum it ends with; a file of another program has none."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
        length = path.stat().st_size
        file.seek(max(0, length - _FOOTER))
        tail = file.read()
        if not tail.startswith(_MARK):
            # Without a checksum it must at least end as an archive does: a footer that was hit is no excuse.
            if start == _ZIP and not tail[-_ZIP_END_LENGTH:].startswith(_ZIP_END):
                raise ValueError("its end is missing")
            return
        file.seek(0)
        digest = hashlib.sha256()
        remaining = length - _FOOTER
        while remaining:
            block = file.read(min(remaining, 2**20))
            digest.update(block)
            remaining -= len(block)
    if digest.hexdigest().encode() != tail[len(_MARK) :]:
        raise ValueError("its checksum is wrong")
