"""A posed scene on disk whose frames are decoded when they are asked for."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpnerf.data.files import FileSeries, SceneFiles
from gpnerf.data.images import blur_and_resize, decode_colour, decode_map, resize_nearest
from gpnerf.data.instances import InstanceMap
from gpnerf.data.labels import LabelMap
from gpnerf.errors import UserError
from gpnerf.structures import Cameras

_MILLIMETRES = 1000.0
_WHITE = 255.0
_LARGEST_ID = 65534  # a result file's largest instance id; 65535 means none


class FrameCache:
    """Decoded and resized frames of one process, least recently used out first, within a number of bytes.

    A pickled copy, as loader processes get it, is empty: each process decodes what it needs.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.capacity,)

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array kept under `key`, made first if need be."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        if array.nbytes <= self.capacity:
            self._arrays[key] = array
            self.size += array.nbytes
        while self.size > self.capacity:
            self.size -= self._arrays.popitem(last=False)[1].nbytes
        return array


@dataclass(frozen=True)
class ImageForm:
    """The size that images are given (pixels), the (x, y) factors that set the blur before it, and the released
    program's corner-aligned nearest neighbour (`centred` off)."""

    height: int
    width: int
    blur_scale: tuple[float, float]
    centred: bool = True


@dataclass(frozen=True, eq=False)
class Scene:
    """The frames of a scene in the protocol's order, with their cameras.

    Indices are places in the order; `numbers` are the frame numbers in the file names. `file_size` is the
    (height, width) of every colour file; `strict_labels` makes a raw id outside a closed label map an error.
    `instance_map` is there where instances are wanted.
    """

    name: str
    files: SceneFiles
    numbers: Int64[np.ndarray, "frames"]
    intrinsics: Float[np.ndarray, "3 3"]
    cam_to_world: Float[np.ndarray, "frames 4 4"]
    file_size: tuple[int, int]
    form: ImageForm
    label_map: LabelMap | None
    strict_labels: bool
    cache: FrameCache
    instance_map: InstanceMap | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def has_labels(self) -> bool:
        """Whether any frame has a label file."""
        return self.files.labels is not None

    def with_instances(self, frames: Sequence[int], none: int | None) -> "Scene":
        """The same with a channel for each instance that these frames (by place) show; the raw id `none` is no one's.

        Raises:
            UserError: there are no instance files, no instance in these frames, or ids above 65534.
        """
        shown = [ids for index in frames if (ids := self.instances(index)) is not None]
        found = sorted({raw for ids in shown for raw in ids.unique().tolist()} - {none})
        if not found:
            fault = f"none but id {none} in {len(shown)} of them" if shown else "no instance file of any"
            raise UserError(
                f"{self.name}: expected instances in the {len(frames)} training frames (files in instance-filt/ or "
                f"semantic_instance/), found {fault}; add them, or take --task semantic"
            )
        if found[-1] > _LARGEST_ID:
            raise UserError(f"{self.name}: expected instance ids up to {_LARGEST_ID}, found {found[-1]}; renumber them")
        return replace(self, instance_map=InstanceMap(tuple(found), none))

    def cameras(self, indices: list[int]) -> Cameras:
        """The cameras of several frames, batched."""
        poses = torch.from_numpy(self.cam_to_world[indices]).float()
        intrinsics = torch.from_numpy(self.intrinsics).float().expand(len(indices), 3, 3)
        return Cameras(intrinsics, poses, self.form.height, self.form.width)

    def camera(self, index: int) -> Cameras:
        """The camera of one frame, without batch axis."""
        pose = torch.from_numpy(self.cam_to_world[index]).float()
        return Cameras(torch.from_numpy(self.intrinsics).float(), pose, self.form.height, self.form.width)

    def image(self, index: int) -> Float[Tensor, "3 height width"]:
        """RGB in [0, 1]."""
        return self.images([index])[0]

    def images(self, indices: list[int]) -> Float[Tensor, "frames 3 height width"]:
        """RGB in [0, 1] of several frames."""
        frames = [self._cached(self.files.colour, index, self._read_colour) for index in indices]
        return torch.from_numpy(np.stack(frames))

    def depth(self, index: int) -> Float[Tensor, "height width"] | None:
        """Metres along the camera axis, 0 where unknown; None for a frame without the file."""
        depth = self._optional(self.files.depth, index, self._read_depth)
        return None if depth is None else torch.tensor(depth)

    def labels(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Training ids, `label_map.ignore` where there is no class; None for a frame without the file."""
        labels = self._optional(self.files.labels, index, self._read_labels)
        return None if labels is None else torch.tensor(labels).long()

    def instances(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Raw instance ids; None for a frame without the file."""
        instances = self._optional(self.files.instances, index, self._read_map)
        return None if instances is None else torch.tensor(instances.astype(np.int64))

    def channels(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Instances as channels of `instance_map`; None without one, and for a frame without the file."""
        if self.instance_map is None:
            return None
        raw = self.instances(index)
        return None if raw is None else self.instance_map.to_channels(raw)

    def _optional(self, series: FileSeries | None, index: int, read: Callable[[Path], np.ndarray]) -> np.ndarray | None:
        if series is None or int(self.numbers[index]) in series.missing:
            return None
        return self._cached(series, index, read)

    def _cached(self, series: FileSeries, index: int, read: Callable[[Path], np.ndarray]) -> np.ndarray:
        path = series.path(int(self.numbers[index]))
        return self.cache.get((path, self.form, self.strict_labels), lambda: read(path))

    def _read_colour(self, path: Path) -> Float[np.ndarray, "3 height width"]:
        image = decode_colour(path)
        if image.shape[:2] != self.file_size:
            found, expected = (f"{width}x{height}" for height, width in (image.shape[:2], self.file_size))
            raise UserError(f"{path}: expected {expected} pixels like the scene's other frames, found {found}")
        if image.shape[:2] != (self.form.height, self.form.width):
            image = blur_and_resize(image, self.form.height, self.form.width, self.form.blur_scale)
        return np.ascontiguousarray(image.transpose(2, 0, 1)) / np.float32(_WHITE)

    def _read_map(self, path: Path) -> np.ndarray:
        return resize_nearest(decode_map(path), self.form.height, self.form.width, self.form.centred)

    def _read_depth(self, path: Path) -> Float[np.ndarray, "height width"]:
        return self._read_map(path).astype(np.float32) / np.float32(_MILLIMETRES)

    def _read_labels(self, path: Path) -> np.ndarray:
        assert self.label_map is not None, "a scene with labels is made with a label map"
        raw = self._read_map(path).astype(np.int64)
        strangers = self.label_map.strangers(raw) if self.strict_labels else []
        if strangers:
            raise UserError(
                f"{path}: found label id {strangers[0]}, expected ids of {self.label_map.source}; "
                "take the table that belongs to these labels, or add the id to it"
            )
        return self.label_map.to_train(raw).astype(np.int16)
