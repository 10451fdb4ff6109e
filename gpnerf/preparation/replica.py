"""Renderings of Replica as they are published, put where the data sets read them and checked."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event

from tqdm import tqdm

from gpnerf.data.files import FileList, FileSeries
from gpnerf.data.images import image_size
from gpnerf.data.replica import replica_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError
from gpnerf.ownership import made_whole
from gpnerf.preparation.archives import extract
from gpnerf.preparation.batch import Cells, until
from gpnerf.preparation.downloads import TRAJECTORY, FoundSequence
from gpnerf.storage import read_text

_PARTS = ("rgb", "depth", "semantic_class", "semantic_instance")


@dataclass(frozen=True)
class Publication:
    """A published preparation: its scenes, the sequences of each ("" for none), what each must have, and its home."""

    scenes: tuple[str, ...]
    sequences: tuple[str, ...]
    parts: tuple[str, ...]
    home: str

    def places(self, scenes: tuple[str, ...]) -> list[str]:
        """The folders of some scenes; a name such as office_0/Sequence_2 stands for itself."""
        names = ([scene] if "/" in scene else [f"{scene}/{s}".rstrip("/") for s in self.sequences] for scene in scenes)
        return [place for one in names for place in one]


PUBLICATIONS = {
    "semantic_nerf": Publication(
        ("office_0", "office_1", "office_2", "office_3", "office_4", "room_0", "room_1", "room_2"),
        ("Sequence_1", "Sequence_2"),
        ("rgb", "depth", "semantic_class"),
        "https://github.com/Harry-Zhi/semantic_nerf",
    ),
    "dm_nerf": Publication(
        ("office_0", "office_2", "office_3", "office_4", "room_0", "room_1", "room_2"),
        ("",),
        ("rgb", "depth", "semantic_instance"),
        "https://github.com/vLAR-group/DM-NeRF",
    ),
}


@dataclass(frozen=True)
class Arrangement:
    """Where sequences go, what a download has of them by place, and whether folders are copied (or linked)."""

    publication: Publication
    out: Path
    found: dict[str, FoundSequence]
    copy: bool

    def prepare(self, place: str, stop: Event) -> Cells:
        """Put one sequence to its place, unless something is there, and check it; its line of the table.

        Raises:
            UserError: it is missing, or something in it is.
        """
        target = self.out / place
        if target.exists():
            return {**self._check(target, place, stop), "state": "was there"}
        if place not in self.found:
            raise UserError(
                f"{target}: expected {', '.join(self.publication.parts)} and {TRAJECTORY}, found nothing here or in "
                f"the download; it is published at {self.publication.home}"
            )
        with made_whole(target) as partial:
            state = self._bring(self.found[place], partial)
            cells = self._check(partial.resolve(), place, stop)  # so that messages name what was linked
        return {**cells, "state": state}

    def _bring(self, sequence: FoundSequence, target: Path) -> str:
        if sequence.inner is not None:
            extract(sequence.path, target, lambda name: _wanted(name, sequence.inner or ""))
            return "unpacked"
        if self.copy:
            shutil.copytree(sequence.path, target)
            return "copied"
        target.symlink_to(sequence.path.resolve(), target_is_directory=True)
        return "linked"

    def _check(self, folder: Path, place: str, stop: Event) -> Cells:
        scene = replica_scene(folder, name=place, height=1, width=1, label_map=None, cache=FrameCache(0))
        _check_count(folder / TRAJECTORY, scene)
        files = scene.files
        series = dict(zip(_PARTS, (files.colour, files.depth, files.labels, files.instances), strict=True))
        counts = {part: len(scene) - len(one.missing) if one else 0 for part, one in series.items()}
        for part in self.publication.parts:
            if counts[part] < len(scene):
                raise UserError(
                    f"{folder / part}: expected {part}_N.png for each of {len(scene)} frames, found {counts[part]}; "
                    f"get the others from {self.publication.home}"
                )
        for part, one in series.items():
            if one:
                bar = tqdm(scene.numbers.tolist(), desc=f"{place} {part}", unit="file", leave=False)
                _check_sizes(one, scene.file_size, until(stop, bar))
        return {**counts, "pixels": f"{scene.file_size[1]}x{scene.file_size[0]}"}


def _wanted(name: str, inner: str) -> PurePosixPath | None:
    """The place of an archive's file in a sequence that lies at `inner`; None if it is no part of it."""
    path = PurePosixPath(name)
    if not path.is_relative_to(inner or "."):
        return None
    own = path.relative_to(inner or ".")
    return own if own.parts == (TRAJECTORY,) or (len(own.parts) == 2 and own.parts[0] in _PARTS) else None


def _check_count(path: Path, scene: Scene) -> None:
    poses = len(read_text(path, "a pose a line", "get it again").rstrip().splitlines())
    if scene.numbers.tolist() != list(range(poses)):
        raise UserError(
            f"{path}: expected a pose for each picture, found {poses} for {len(scene)}; get what is missing"
        )


def _check_sizes(series: FileList | FileSeries, expected: tuple[int, int], numbers: Iterable[int]) -> None:
    height, width = expected
    for number in numbers:
        if number not in series.missing and (size := image_size(series.path(number))) != expected:
            raise UserError(f"{series.path(number)}: expected {width}x{height} pixels, found {size[1]}x{size[0]}")
