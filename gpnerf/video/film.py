"""From the frames of a video to mp4 files, in colours that mean the same from the first frame to the last."""

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gpnerf.errors import UserError
from gpnerf.storage import replaced
from gpnerf.video.frames import FrameFolder
from gpnerf.video.labellings import Labelling
from gpnerf.visualize.colouring import class_palette, depth_limits, depth_picture, label_picture
from gpnerf.visualize.panel import LegendEntry, Tile, panel
from gpnerf.visualize.png import read_depth, read_picture, save_picture

Picture = UInt8[np.ndarray, "height width 3"]

_TILE_WIDTH = 320  # at least
_STRIP_TILE_WIDTH = 160
_EVEN = 2  # the usual pixel format of mp4 halves both sides
_QUALITY = 8  # of 10
_TOGETHER, _STRIP = "video.mp4", "strip.png"
_NAMED = 12  # ids in the legend, those with most pixels


@dataclass(frozen=True)
class Film:
    """Frames a second, whether colour, depth and so on lie side by side in one file or each in its own, and how many
    frames a still picture shows beside the film."""

    frames_per_second: int
    separate: bool
    strip: int

    def write(self, folder: FrameFolder, labellings: Sequence[Labelling]) -> list[Path]:
        """Write the mp4 files, and the strip if any, into the folder of finished frames."""
        frames, shows = range(folder.count), _shows(folder, labellings)
        legend = [entry for labelling in labellings for entry in _legend(folder, labelling)]
        written = []
        if self.strip:
            chosen = np.linspace(0, folder.count - 1, self.strip).round().astype(int).tolist()
            tiles = [show(k) for show in shows.values() for k in chosen]
            written.append(folder.path / _STRIP)
            save_picture(written[0], panel(tiles, len(chosen), legend, _STRIP_TILE_WIDTH))
        if self.separate:
            return written + [
                self._encode(folder.path / f"{name}.mp4", (show(k).picture for k in frames))
                for name, show in shows.items()
            ]
        width = max(_TILE_WIDTH, shows["colour"](0).picture.shape[1])
        sheets = (panel([show(k) for show in shows.values()], len(shows), legend, width) for k in frames)
        return [*written, self._encode(folder.path / _TOGETHER, sheets)]

    @staticmethod
    def remove(folder: FrameFolder, labellings: Sequence[Labelling]) -> None:
        """Delete what was made of earlier frames, by its name: other films in the folder stay."""
        separate = ("colour", "depth", *(labelling.title for labelling in labellings))
        for name in (_STRIP, _TOGETHER, *(f"{title}.mp4" for title in separate)):
            (folder.path / name).unlink(missing_ok=True)

    def _encode(self, path: Path, pictures: Iterable[Picture]) -> Path:
        """Write a film in one move."""
        from imageio_ffmpeg import write_frames  # here: nothing else needs this package

        even = _with_even_sides(pictures)
        first = next(even)
        height, width = first.shape[:2]
        how = {"fps": self.frames_per_second, "quality": _QUALITY, "macro_block_size": _EVEN}
        with replaced(path) as beside:
            film = write_frames(beside, (width, height), **how, output_params=["-f", "mp4"])
            with closing(film):
                film.send(None)
                for picture in chain([first], even):
                    film.send(picture)
        return path


def require_encoder() -> None:
    """Raise `UserError` where the package that writes mp4 files is not installed."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError("mp4 files are written by the package imageio-ffmpeg, found none; pip install imageio-ffmpeg")


def _shows(folder: FrameFolder, labellings: Sequence[Labelling]) -> dict[str, Callable[[int], Tile]]:
    """What makes the tile of a frame, for everything that there is to see."""
    limits = [depth_limits(read_depth(folder.file("depth", k))) for k in range(folder.count)]
    near, far = min(pair[0] for pair in limits), max(pair[1] for pair in limits)

    def colour(frame: int) -> Tile:
        return Tile("colour", read_picture(folder.file("rgb", frame)))

    def depth(frame: int) -> Tile:
        picture = depth_picture(read_depth(folder.file("depth", frame)), near, far)
        return Tile(f"depth ({near:.1f} to {far:.1f} m)", picture)

    return {"colour": colour, "depth": depth} | {each.title: _label_show(folder, each) for each in labellings}


def _label_show(folder: FrameFolder, labelling: Labelling) -> Callable[[int], Tile]:
    palette = class_palette(len(labelling.names))

    def show(frame: int) -> Tile:
        return Tile(labelling.title, label_picture(labelling.read(folder.file(labelling.part, frame)), palette))

    return show


def _legend(folder: FrameFolder, labelling: Labelling) -> list[LegendEntry]:
    """The names of what the whole video shows most of, so that the legend stays as it is."""
    pixels: Counter[int] = Counter()
    for frame in range(folder.count):
        ids, counts = labelling.read(folder.file(labelling.part, frame)).unique(return_counts=True)
        pixels.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    palette = class_palette(len(labelling.names))
    shown = [number for number, _ in pixels.most_common(_NAMED) if 0 <= number < len(palette)]
    return [LegendEntry(labelling.names[number], tuple(palette[number].tolist())) for number in shown]


def _with_even_sides(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """With the last row or column twice where their number is odd."""
    for picture in pictures:
        height, width = picture.shape[:2]
        yield np.pad(picture, ((0, height % _EVEN), (0, width % _EVEN), (0, 0)), mode="edge")
