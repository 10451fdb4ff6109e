"""What a ScanNet download holds: its scans and its label table."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gpnerf.data.labels import LABEL_TABLE
from gpnerf.errors import UserError
from gpnerf.storage import write_whole

logger = logging.getLogger(__name__)


def find_scans(scans: Path, wanted: Sequence[str] | None) -> list[str]:
    """The names of the scenes to prepare: those wanted, or every folder of `scans` that holds a recording.

    Raises:
        UserError: no such folder, no scan in it, or a name that is not that of a folder in it.
    """
    if not scans.is_dir():
        raise UserError(f"{scans}: expected a folder of scans (--scans), found none; name the one of the download")
    names = sorted(path.parent.name for path in scans.glob("*/*.sens")) if wanted is None else list(wanted)
    if not names:
        raise UserError(
            f"{scans}: expected sceneXXXX_YY/sceneXXXX_YY.sens, found no .sens; name the download's folder scans"
        )
    if strange := [name for name in names if Path(name).name != name or name.startswith(".")]:
        raise UserError(f"{strange[0]}: expected the name of a scan, such as scene0000_00, found a path; mend --scenes")
    return list(dict.fromkeys(names))


def bring_label_table(scans: Path, out: Path) -> None:
    """Copy ScanNet's label table, which a download has beside its scans; warn if there is none."""
    goal = out / LABEL_TABLE
    found = [folder / LABEL_TABLE for folder in (scans, scans.parent) if (folder / LABEL_TABLE).is_file()]
    if found and not goal.exists():
        write_whole(goal, found[0].read_bytes())
    if not goal.exists():
        logger.warning("%s: not found; reading labels needs it, it comes with ScanNet ('label mappings')", goal)
