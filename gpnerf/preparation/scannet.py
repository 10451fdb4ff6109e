"""One ScanNet scan as it is downloaded, written in the layout that scenes are read in."""

from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError
from gpnerf.ownership import made_whole
from gpnerf.preparation.archives import read_pictures
from gpnerf.preparation.batch import Cells, until
from gpnerf.preparation.pictures import is_larger, keep_picture, save_map, shrink_colour, shrink_map
from gpnerf.preparation.record import Record, check_record
from gpnerf.preparation.sens import SensFile, SensFrame, open_sens, read_codes, unpack_depth

# A scene's folder of maps -> the ending of the archive that they come from.
ARCHIVES = {"label-filt": "_2d-label-filt.zip", "instance-filt": "_2d-instance-filt.zip"}

_SENSOR_PARTS = ("color", "depth", "pose")
_BYTES_PER_ID = 2
_PNG_BYTES = 65_536  # besides the pixels, for a code that does not compress


@dataclass(frozen=True)
class ScanOptions:
    """Every `stride`-th frame; (height, width) to shrink pictures to, or None for their own; folders of maps."""

    stride: int = 1
    size: tuple[int, int] | None = None
    maps: tuple[str, ...] = tuple(ARCHIVES)


def prepare_scan(scan: Path, out: Path, options: ScanOptions, stop: Event) -> Cells:
    """Write `scan` = sceneXXXX_YY with its .sens and archives to `out`/sceneXXXX_YY; the scene's line of the table.

    Frames keep their numbers; those whose pose holds inf or NaN are left out. The folder appears when it is complete
    and has been opened as a scene; one that is there already is held against its record and kept.

    Raises:
        UserError: a file is missing, damaged or unsafe, or the folder was made with other options.
    """
    folder = out / scan.name
    parts = (*_SENSOR_PARTS, *options.maps)
    recording, *archives = (scan / f"{scan.name}{ending}" for ending in (".sens", *map(ARCHIVES.get, options.maps)))
    if folder.exists():
        return check_record(folder, asdict(options), parts, (recording, *archives)).cells("was there")
    sens = open_sens(recording)
    chosen = sens.frames[:: options.stride]
    frames = tuple(frame for frame in chosen if np.isfinite(frame.cam_to_world).all())
    if not frames:
        raise UserError(f"{sens.path}: expected finite poses, found inf or NaN in all {len(chosen)}; leave it out")
    with made_whole(folder) as partial:
        for part in (*parts, "intrinsic"):
            (partial / part).mkdir(parents=True)
        writer = _Writer(partial, sens, frames, options.size, stop)
        for part, archive in zip(options.maps, archives, strict=True):  # first: what they lack is found sooner
            writer.maps(part, archive)
        writer.cameras()
        writer.frames_of_sensor()
        _verify(partial, scan.name, [frame.number for frame in frames])
        height, width = options.size or sens.colour_size
        lost, pixels = len(chosen) - len(frames), f"{width}x{height}"
        record = Record.of(partial, asdict(options), parts, lost, pixels, (recording, *archives))
        record.write(partial)
    return record.cells("written")


@dataclass(frozen=True)
class _Writer:
    """Writes the parts of a scene to a folder, some frames of a recording, shrunk to (height, width) `size`."""

    folder: Path
    sens: SensFile
    frames: tuple[SensFrame, ...]
    size: tuple[int, int] | None
    stop: Event

    def __post_init__(self) -> None:
        colour = self.sens.colour_size
        if self.size and self.size != colour and not is_larger(colour, self.size):
            found, limit = (f"{width}x{height}" for height, width in (self.size, colour))
            raise UserError(f"{self.sens.path}: expected a --size of at most its colour's {limit}, found {found}")

    def frames_of_sensor(self) -> None:
        """Colour, depth and pose."""
        codes = read_codes(self.sens, self.frames)
        bar = tqdm(codes, desc=self.sens.path.stem, total=len(self.frames), unit="frame", leave=False)
        for frame, colour, depth in until(self.stop, bar):
            picture = self.folder / "color" / f"{frame.number}.jpg"
            keep_picture(picture, colour, [self.sens.colour_size], f"{self.sens.path}, frame {frame.number}")
            if self.size:
                shrink_colour(picture, self.size)
            save_map(self.folder / "depth" / f"{frame.number}.png", unpack_depth(self.sens, frame, depth), self.size)
            _save_matrix(self.folder / "pose" / f"{frame.number}.txt", frame.cam_to_world)

    def maps(self, part: str, archive: Path) -> None:
        """Labels or instances."""
        sizes = {self.sens.colour_size, self.sens.depth_size}
        largest = max(height * width for height, width in sizes) * _BYTES_PER_ID + _PNG_BYTES
        pictures = read_pictures(archive, part, {frame.number for frame in self.frames}, largest)
        bar = tqdm(pictures, desc=archive.stem, total=len(self.frames), unit="map", leave=False)
        for number, code in until(self.stop, bar):
            path = self.folder / part / f"{number}.png"
            keep_picture(path, code, sizes, f"{archive}, {part}/{number}.png")
            if self.size:
                shrink_map(path, self.size)
        if not any((self.folder / part).iterdir()):
            raise UserError(f"{archive}: expected {part}/N.png for the recording's frames, found none; get it again")

    def cameras(self) -> None:
        """Matrices that belong to the sizes that the pictures are written in."""
        sizes = {"intrinsic_color": self.sens.colour_size, "intrinsic_depth": self.sens.depth_size}
        for name, matrix in self.sens.cameras.items():
            written, old = matrix.astype(np.float64), sizes.get(name)
            if self.size and old and is_larger(old, self.size):
                scale = (self.size[1] / old[1], self.size[0] / old[0])
                written[:3, :3] = rescale_intrinsics(written[:3, :3], scale)
            _save_matrix(self.folder / "intrinsic" / f"{name}.txt", written)


def _save_matrix(path: Path, matrix: Float[np.ndarray, "4 4"]) -> None:
    rows = (" ".join(f"{number:.9g}" for number in row) for row in matrix.tolist())  # exact for float32
    path.write_text("\n".join(rows) + "\n")


def _verify(folder: Path, name: str, numbers: list[int]) -> None:
    """The reader finds every frame, with depth."""
    scene = scannet_scene(folder, name=name, height=1, width=1, label_map=None, cache=FrameCache(0))
    depth = scene.files.depth
    if scene.numbers.tolist() != numbers or depth is None or depth.missing:
        raise UserError(f"{folder}: expected {len(numbers)} frames with depth, found {len(scene)}; is the disk sound?")
