"""The folder of a run: its config, its command lines and its checkpoints."""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpnerf.checkpoint import newest_checkpoint
from gpnerf.config import Config, differences, parse
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.ownership import Ownership, own
from gpnerf.storage import require_no_pipe, write_whole

# What a training writes to its folder; checkpoints first, so that those that are there have their config beside them.
_OF_TRAINING = ("model_*.pth", "validation", "events.out.tfevents.*", "losses.jsonl", "config.txt")

_log = logging.getLogger(__name__)


def run_folder(config: Config) -> Path:
    """`out/<expname>` under the root folder."""
    return config.run.rootdir / "out" / config.run.expname


def checkpoint_to_continue(config: Config, folder: Path, context: Context) -> Path | None:
    """The newest checkpoint of the run folder, unless the run starts afresh.

    Raises:
        UserError: the folder's run had another value of a flag that changes the result.
    """
    if config.optim.no_reload:
        context.by_first(lambda: _set_aside(folder))
        return None
    newest = find_newest(folder, context)
    if newest is None:
        return None
    written = folder / "config.txt"
    changed = differences(parse(["--config", str(written)]), config) if written.is_file() else []
    if changed:
        name, old, new = changed[0]
        raise UserError(
            f"{written}: this run was started with {name} = {old}, found {new} now ({len(changed)} such fields); "
            "set it back, choose another --expname, or start afresh with --no_reload"
        )
    _log.info("continuing from %s", newest)
    if config.optim.ckpt_path:
        _log.info("ckpt_path = %s counted at the start of this run only", config.optim.ckpt_path)
    return newest


def find_newest(folder: Path, context: Context) -> Path | None:
    """The newest whole checkpoint of a run folder, or None; one process looks for all."""
    return context.by_first(lambda: newest_checkpoint(folder))


@contextmanager
def owned(folder: Path, context: Context) -> Iterator[None]:
    """Inside, these processes alone write to a folder; a `UserError` in all of them if another program does."""
    held = claim(folder, context)
    try:
        yield
    finally:
        del held


def claim(folder: Path, context: Context) -> Ownership | None:
    """Let these processes alone write to a folder as long as what the first one gets is held; errors as in `owned`."""
    held: list[Ownership] = []
    context.by_first(lambda: held.append(own(folder)))
    return held[0] if held else None


def write_config(config: Config, folder: Path, context: Context) -> None:
    """Write the resolved config, and add the command line to `args.txt`; one process does."""
    context.barrier()  # every process has compared the config before it is written anew

    def write() -> None:
        write_whole(folder / "config.txt", config.to_text())
        require_no_pipe(folder / "args.txt")
        with (folder / "args.txt").open("a", encoding="utf-8") as file:
            file.write(shlex.join(sys.argv) + "\n")

    context.by_first(write)


def _set_aside(folder: Path) -> None:
    """Move what an earlier training wrote, if anything, out of the way; nothing is deleted."""
    earlier = [path for pattern in _OF_TRAINING for path in folder.glob(pattern)]
    if not earlier:
        return
    taken = [int(path.name.removeprefix("previous_")) for path in folder.glob("previous_[0-9]*")]
    aside = folder / f"previous_{max(taken, default=0) + 1}"
    aside.mkdir()
    for path in earlier:
        path.rename(aside / path.name)
    _log.info("starting afresh; the earlier checkpoints, validations and logs are in %s", aside)
