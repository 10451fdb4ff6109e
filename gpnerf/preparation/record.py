"""What a prepared scene says of itself, so that a later run knows whether it is complete and the one wanted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpnerf.errors import UserError
from gpnerf.storage import read_json, write_whole

_FILE = "prepared.json"


@dataclass(frozen=True)
class Record:
    """How a scene was made (plain JSON values), files a folder, frames left out because their pose is unknown, the
    size of its colour, and the bytes of the files that it was made from."""

    options: Mapping[str, object]
    files: Mapping[str, int]
    without_pose: int
    pixels: str
    sources: Mapping[str, int]

    @classmethod
    def of(
        cls,
        folder: Path,
        options: Mapping[str, object],
        parts: Sequence[str],
        without_pose: int,
        pixels: str,
        sources: Sequence[Path],
    ) -> "Record":
        """Count the files in a scene's folders, and measure those of `sources` that are there."""
        files = {part: len(list((folder / part).glob("*"))) for part in parts}
        measured = {path.name: path.stat().st_size for path in sources if path.is_file()}
        return cls(json.loads(json.dumps(options)), files, without_pose, pixels, measured)

    def write(self, folder: Path) -> None:
        """Put the record into the scene's folder."""
        write_whole(folder / _FILE, json.dumps(vars(self), indent=1) + "\n")

    def cells(self, state: str) -> dict[str, object]:
        """A line of the table, and what was done."""
        return {**self.files, "without pose": self.without_pose, "pixels": self.pixels, "state": state}


def check_record(folder: Path, options: Mapping[str, object], parts: Sequence[str], sources: Sequence[Path]) -> Record:
    """The record of a scene that is there already; sources may have been deleted since.

    Raises:
        UserError: there is none, it was made with other options or from other files, or files have gone since.
    """
    try:
        found = read_json(folder / _FILE, "the record of a prepared scene", "remove the folder")
        record = Record.of(folder, options, parts, int(found["without_pose"]), str(found["pixels"]), sources)
        made_from = dict(found.get("sources", {}))  # which earlier versions did not note
    except (UserError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _foreign(folder, f"no record of it in {_FILE} ({error})") from error
    for part in ("options", "files"):
        if found.get(part) != getattr(record, part):
            raise _foreign(folder, f"{part} {found.get(part)} where {getattr(record, part)} were expected")
    for name, size in record.sources.items():
        if (before := made_from.get(name, size)) != size:
            raise _foreign(folder, f"one made from {name} of {before} bytes where that has {size} now")
    return record


def _foreign(folder: Path, found: str) -> UserError:
    return UserError(
        f"{folder}: expected a scene as this command with these options writes it, found {found}; "
        "remove the folder to have it written anew, or leave the scene out with --scenes"
    )
