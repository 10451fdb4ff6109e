"""The folder of a run: its config, its command lines and its checkpoints."""

import logging
import shlex
import sys
from pathlib import Path

from gpnerf.checkpoint import newest_checkpoint
from gpnerf.config import Config, differences, parse
from gpnerf.distributed import Context
from gpnerf.errors import UserError
from gpnerf.storage import require_no_pipe

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
        if context.is_main:
            _set_aside(folder)
        context.barrier()
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
    return context.gather(newest_checkpoint(folder) if context.is_main else None)[0]


def write_config(config: Config, folder: Path, context: Context) -> None:
    """Write the resolved config, and add the command line to `args.txt`; one process does."""
    context.barrier()  # every process has compared the config before it is written anew
    if not context.is_main:
        return
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / ".config.txt.tmp"
    beside.write_text(config.to_text(), encoding="utf-8")
    beside.replace(folder / "config.txt")
    require_no_pipe(folder / "args.txt")
    with (folder / "args.txt").open("a", encoding="utf-8") as file:
        file.write(shlex.join(sys.argv) + "\n")


def _set_aside(folder: Path) -> None:
    """Move an earlier run's checkpoints, if any, out of the way; nothing is deleted."""
    checkpoints = list(folder.glob("model_*.pth"))
    if not checkpoints:
        return
    taken = [int(path.name.removeprefix("previous_")) for path in folder.glob("previous_[0-9]*")]
    aside = folder / f"previous_{max(taken, default=0) + 1}"
    aside.mkdir()
    for path in checkpoints:
        path.rename(aside / path.name)
    _log.info("starting afresh; earlier checkpoints are in %s", aside)
