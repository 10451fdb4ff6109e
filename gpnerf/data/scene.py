"""A posed scene on disk whose frames are decoded when they are asked for."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gpnerf.data.files import FileList, FileSeries, SceneFiles
from gpnerf.data.frames import ImageForm, Part, read_colour, read_map
from gpnerf.data.instances import InstanceMap
from gpnerf.data.labels import LabelMap
from gpnerf.data.lens import Lens
from gpnerf.data.packed import PackedFrames
from gpnerf.errors import UserError
from gpnerf.structures import Cameras

logger = logging.getLogger(__name__)

_MILLIMETRES = 1e-3
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


@dataclass(frozen=True, eq=False)
class Scene:
    """The frames of a scene in the protocol's order, with their cameras.

    Indices are places in the order; `numbers` are the frame numbers in the file names. `file_size` is the
    (height, width) of every colour file; `strict_labels` warns once of raw ids outside a closed label map.
    `instance_map` is there where instances are wanted. `intrinsics` are for the image size. `lenses` are there, one for
    each frame, where photographs are distorted or of several sizes. `depth_range` is near and far (metres) where the
    scene itself tells, and `depth_unit` metres a step of its depth files. `evaluation_frames` are the frame numbers
    that the data set itself wants rendered; none: the protocol's. `packed` holds frames that are read already.
    `with_lost` are the numbers of all frames of the recording in the same order where some of them cannot be used.
    `told` are the warnings of this scene that need not be repeated.
    """

    name: str
    files: SceneFiles
    numbers: Int64[np.ndarray, "frames"]
    intrinsics: Float64[np.ndarray, "frames 3 3"]
    cam_to_world: Float[np.ndarray, "frames 4 4"]
    file_size: tuple[int, int]
    form: ImageForm
    label_map: LabelMap | None
    strict_labels: bool
    cache: FrameCache
    instance_map: InstanceMap | None = None
    lenses: tuple[Lens, ...] = ()
    depth_range: tuple[float, float] | None = None
    depth_unit: float = _MILLIMETRES
    evaluation_frames: tuple[int, ...] = ()
    packed: PackedFrames | None = None
    with_lost: tuple[int, ...] = ()
    told: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def recorded(self) -> tuple[int, ...]:
        """The numbers of all frames of the recording, in the protocol's order, also of those that cannot be used."""
        return self.with_lost or tuple(self.numbers.tolist())

    @cached_property
    def places(self) -> Int64[np.ndarray, "frames"]:
        """The place of each frame in the recording."""
        place = {number: index for index, number in enumerate(self.recorded)}
        return np.array([place[number] for number in self.numbers.tolist()], dtype=np.int64)

    @property
    def has_labels(self) -> bool:
        """Whether any frame has a label file."""
        return self.files.labels is not None

    @property
    def middle_intrinsics(self) -> Float64[np.ndarray, "3 3"]:
        """Those of the frame with the middle focal length: one camera for films of a scene that was taken with many."""
        by_focal_length = np.argsort(self.intrinsics[:, 0, 0], kind="stable")
        return self.intrinsics[by_focal_length[len(self) // 2]]

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
        intrinsics, poses = (torch.from_numpy(of[indices]) for of in (self.intrinsics, self.cam_to_world))
        return Cameras(intrinsics.float(), poses, self.form.height, self.form.width)

    def camera(self, index: int) -> Cameras:
        """The camera of one frame, without batch axis."""
        one = self.cameras([index])
        return Cameras(one.intrinsics[0], one.cam_to_world[0], one.height, one.width)

    def image(self, index: int) -> Float[Tensor, "3 height width"]:
        """RGB in [0, 1]."""
        return self.images([index])[0]

    def images(self, indices: list[int]) -> Float[Tensor, "frames 3 height width"]:
        """RGB in [0, 1] of several frames."""
        return torch.from_numpy(np.stack([self._cached("colour", index, _unit) for index in indices]))

    def depth(self, index: int) -> Float[Tensor, "height width"] | None:
        """Metres along the camera axis, 0 where unknown; None for a frame without the file."""
        depth = self._optional("depth", index, self._metres)
        return None if depth is None else torch.tensor(depth)

    def labels(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Training ids, `label_map.ignore` where there is no class; None for a frame without the file."""
        labels = self._optional("labels", index, lambda raw: self._training_ids(raw, index))
        return None if labels is None else torch.tensor(labels).long()

    def instances(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Raw instance ids; None for a frame without the file."""
        instances = self._optional("instances", index, lambda raw: raw)
        return None if instances is None else torch.tensor(instances.astype(np.int64))

    def channels(self, index: int) -> Int64[Tensor, "height width"] | None:
        """Instances as channels of `instance_map`; None without one, and for a frame without the file."""
        if self.instance_map is None:
            return None
        raw = self.instances(index)
        return None if raw is None else self.instance_map.to_channels(raw)

    def path(self, part: Part, index: int) -> Path | None:
        """The file of a part of a frame; None for a frame without it."""
        series: FileSeries | FileList | None = getattr(self.files, part)
        number = int(self.numbers[index])
        return None if series is None or number in series.missing else series.path(number)

    def pixels(self, part: Part, index: int) -> np.ndarray:
        """A part of a frame, which has its file, at the image size and in the file's units: what `packed` keeps.

        Colour is RGB, channels first: bytes, or floats of the same range where it is resized or undistorted; the other
        parts are unsigned integers.
        """
        path = self.path(part, index)
        assert path is not None, f"{self.name}: no {part} of frame {self.numbers[index]}"
        lens = self.lenses[index] if self.lenses else None
        if part == "colour":
            return read_colour(path, self.form, self.file_size, lens)
        return read_map(path, self.form, lens)

    def _optional(self, part: Part, index: int, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        return None if self.path(part, index) is None else self._cached(part, index, convert)

    def _cached(self, part: Part, index: int, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        def make() -> np.ndarray:
            packed = self.packed.read(part, index) if self.packed else None
            return convert(self.pixels(part, index) if packed is None else packed)

        return self.cache.get((self.path(part, index), self.form, self.strict_labels), make)

    def _metres(self, depth: np.ndarray) -> Float[np.ndarray, "height width"]:
        return depth.astype(np.float32) / np.float32(1 / self.depth_unit)

    def _training_ids(self, raw: np.ndarray, index: int) -> np.ndarray:
        assert self.label_map is not None, "a scene with labels is made with a label map"
        ids = raw.astype(np.int64)
        strangers = self.label_map.strangers(ids) if self.strict_labels else []
        if strangers and "strange labels" not in self.told:
            self.told.add("strange labels")
            logger.warning(
                "%s: label ids that %s does not have, such as %d in %s; they count as no class; take the table that "
                "belongs to these labels, or add the ids to it (scripts/check_data.py lists them)",
                self.name,
                self.label_map.source,
                strangers[0],
                self.path("labels", index),
            )
        return self.label_map.to_train(ids).astype(np.int16)


def _unit(colour: np.ndarray) -> Float[np.ndarray, "3 height width"]:
    return colour / np.float32(_WHITE)
