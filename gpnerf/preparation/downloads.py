"""Finds the sequences of Replica in a download: folders or zip archives, however they are nested."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from gpnerf.errors import UserError
from gpnerf.preparation.archives import list_files

TRAJECTORY = "traj_w_c.txt"

_SCENE = re.compile(r"(office|room)_?(\d)", re.IGNORECASE)
_SEQUENCE = re.compile(r"Sequence_?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundSequence:
    """The folder of a sequence, or an archive and the sequence's folder inside it ("" for its top)."""

    path: Path
    inner: str | None = None


def find_sequences(download: Path, with_sequences: bool) -> dict[str, FoundSequence]:
    """The sequences in a folder or zip archive by their place: office_0/Sequence_1, or (one each) office_0.

    A folder is a sequence if it holds the trajectory; the names of folders tell which, the first where none does.
    Where there is one each, later ones are passed over.

    Raises:
        UserError: no such download, or a sequence is in it twice.
    """
    if not download.exists():
        raise UserError(f"{download}: expected the downloaded folder or zip archive, found neither; name it")
    found: dict[str, FoundSequence] = {}
    for sequence in _sequences(download):
        place = _place(sequence, download, with_sequences)
        if place in found:
            twice = " and ".join(str(one.path / (one.inner or "")) for one in (found[place], sequence))
            raise UserError(f"{download}: expected {place} once, found it in {twice}; name one of them (--download)")
        if place:
            found[place] = sequence
    return found


def _sequences(download: Path) -> Iterator[FoundSequence]:
    if download.is_file():
        yield from _in_archive(download)
    for folder, _, files in os.walk(download):  # follows no links, so it ends
        if TRAJECTORY in files:
            yield FoundSequence(Path(folder))
        for name in sorted(files):
            if name.lower().endswith(".zip"):
                yield from _in_archive(Path(folder) / name)


def _in_archive(path: Path) -> Iterator[FoundSequence]:
    for name in map(PurePosixPath, list_files(path)):
        if name.name == TRAJECTORY:
            yield FoundSequence(path, "" if name.parent == PurePosixPath() else str(name.parent))


def _place(sequence: FoundSequence, download: Path, with_sequences: bool) -> str | None:
    outer = PurePath(download.resolve().name) / sequence.path.relative_to(download)
    parts = [
        *(outer if sequence.inner is None else outer.with_suffix("")).parts,
        *PurePosixPath(sequence.inner or "").parts,
    ]
    scenes = [match for part in parts if (match := _SCENE.fullmatch(part))]
    numbers = [match[1] for part in parts if (match := _SEQUENCE.fullmatch(part))] or ["1"]
    if not scenes or (not with_sequences and numbers[-1] != "1"):
        return None
    scene = f"{scenes[-1][1].lower()}_{scenes[-1][2]}"
    return f"{scene}/Sequence_{numbers[-1]}" if with_sequences else scene
