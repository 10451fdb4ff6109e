"""One ScanNet scan as it is downloaded, written in the layout that scenes are read in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from gpnerf.camera_checks import pose_is_lost, require_intrinsics, require_pose
from gpnerf.data.files import rescale_intrinsics
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError
from gpnerf.ownership import made_whole
from gpnerf.preparation.archives import read_pictures
from gpnerf.preparation.batch import Cells, until
from gpnerf.preparation.pictures import is_larger, keep_picture, save_colour, save_map, shrink_colour, shrink_map
from gpnerf.preparation.record import Record, check_record
from gpnerf.preparation.sens import SensFile, SensFrame, open_sens, read_codes, unpack_colour, unpack_depth
from gpnerf.storage import require_file

# What the user calls the maps -> their folder of a scene; that -> the ending of the archive that they come from.
MAPS = {"labels": "label-filt", "instances": "instance-filt"}
ARCHIVES = {"label-filt": "_2d-label-filt.zip", "instance-filt": "_2d-instance-filt.zip"}

_SENSOR_PARTS = ("color", "depth", "pose")
_ENDINGS = {"raw": ".png", "png": ".png", "jpeg": ".jpg"}  # of colour by its code
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

    Frames keep their numbers. Of those whose pose is lost, or that have no colour, only the pose is written: they keep
    their places in the recording. The folder appears when it is complete and has been opened as a scene; one that is
    there already is held against its record and kept.

    Raises:
        UserError: a file is missing, damaged or unsafe, a camera is none, or the folder was made with other options.
    """
    folder = out / scan.name
    parts = (*_SENSOR_PARTS, *options.maps)
    recording, *archives = (scan / f"{scan.name}{ending}" for ending in (".sens", *map(ARCHIVES.get, options.maps)))
    if folder.exists():
        return check_record(folder, asdict(options), parts, (recording, *archives)).cells("was there")
    sens = open_sens(recording)
    chosen = sens.frames[:: options.stride]
    frames = _usable(sens, chosen)
    _check_intrinsics(sens)
    with made_whole(folder) as partial:
        for part in (*parts, "intrinsic"):
            (partial / part).mkdir(parents=True)
        writer = _Writer(partial, sens, frames, options.size, stop)
        for part, archive in zip(options.maps, archives, strict=True):  # first: what they lack is found sooner
            writer.maps(part, archive)
        writer.cameras()
        writer.poses(chosen)
        writer.frames_of_sensor()
        _verify(partial, scan.name, frames)
        height, width = options.size or sens.colour_size
        lost, pixels = sum(pose_is_lost(frame.cam_to_world) for frame in chosen), f"{width}x{height}"
        record = Record.of(partial, asdict(options), parts, lost, pixels, (recording, *archives))
        record.write(partial)
    return record.cells("written")


def _usable(sens: SensFile, chosen: Sequence[SensFrame]) -> tuple[SensFrame, ...]:
    """The frames with a pose and colour."""
    posed = [frame for frame in chosen if not pose_is_lost(frame.cam_to_world)]
    if not posed:
        raise UserError(f"{sens.path}: expected poses, found inf, NaN or zeros in all {len(chosen)}; leave it out")
    for frame in posed:
        require_pose(frame.cam_to_world, f"{sens.path}, frame {frame.number}", "leave the scan out")
    frames = tuple(frame for frame in posed if frame.colour_bytes)
    if not frames:
        raise UserError(f"{sens.path}: expected colour, found none in all {len(posed)} posed frames; leave it out")
    return frames


def _check_intrinsics(sens: SensFile) -> None:
    height, width = sens.colour_size
    matrix = sens.cameras["intrinsic_color"][:3, :3]
    require_intrinsics(matrix, height, width, f"{sens.path}: intrinsic_color", "leave the scan out")


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

    def poses(self, frames: Sequence[SensFrame]) -> None:
        """The poses of these frames, lost ones among them."""
        for frame in frames:
            _save_matrix(self.folder / "pose" / f"{frame.number}.txt", frame.cam_to_world)

    def frames_of_sensor(self) -> None:
        """Colour and, where there is any, depth."""
        codes = read_codes(self.sens, self.frames)
        bar = tqdm(codes, desc=self.sens.path.stem, total=len(self.frames), unit="frame", leave=False)
        for frame, colour, depth in until(self.stop, bar):
            self._colour(frame, colour)
            if depth:
                path = self.folder / "depth" / f"{frame.number}.png"
                save_map(path, unpack_depth(self.sens, frame, depth), self.size)

    def _colour(self, frame: SensFrame, code: bytes) -> None:
        path = self.folder / "color" / f"{frame.number}{_ENDINGS[self.sens.colour_code]}"
        if self.sens.colour_code == "raw":
            save_colour(path, unpack_colour(self.sens, frame, code))
        else:
            keep_picture(path, code, [self.sens.colour_size], f"{self.sens.path}, frame {frame.number}")
        if self.size:
            shrink_colour(path, self.size)

    def maps(self, part: str, archive: Path) -> None:
        """Labels or instances."""
        flag = next(flag for flag, folder in MAPS.items() if folder == part)
        require_file(archive, f"the archive of {flag}", f"download it, or do without it with --without {flag}")
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


def _verify(folder: Path, name: str, frames: Sequence[SensFrame]) -> None:
    """The reader finds every frame, with depth where the recording has it."""
    scene = scannet_scene(folder, name=name, height=1, width=1, label_map=None, cache=FrameCache(0))
    found = [scene.path("depth", index) is not None for index in range(len(scene))]
    if scene.numbers.tolist() != [frame.number for frame in frames] or found != [bool(f.depth_bytes) for f in frames]:
        raise UserError(
            f"{folder}: expected {len(frames)} frames with their depth, found {len(scene)}, {sum(found)} of them with "
            "depth; is the disk sound?"
        )
