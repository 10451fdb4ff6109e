"""The typed values that travel between the layers.

Conventions: metres; OpenCV axes (x right, y down, z forward); camera-to-world matrices; pixel centres at integers;
depth along the camera z axis; RGB float in [0, 1]; images are channels first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# Whether the released program's forms are kept where they differ.
Compat = Literal["none", "release"]
# In whose axes the renderer's network sees positions and directions: the data's, or the target camera's.
PositionFrame = Literal["world", "camera"]
# Where a ray's colour comes from: its feature alone, or the source views' colours and a correction.
ColourHead = Literal["regress", "blend"]

_Moved = TypeVar("_Moved", bound="Movable")


class Movable:
    """Gives a frozen dataclass `.to(device)` and `.mapped(function)`, for every tensor field and nested structure."""

    def to(self: _Moved, device: torch.device | str) -> _Moved:
        return self.mapped(lambda tensor: tensor.to(device))

    def mapped(self: _Moved, function: Callable[[Tensor], Tensor]) -> _Moved:
        """The same with what `function` makes of each tensor."""
        changed = {
            field.name: function(value) if isinstance(value, Tensor) else value.mapped(function)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor | Movable)
        }
        return replace(self, **changed)  # type: ignore[type-var]


@dataclass(frozen=True)
class Cameras(Movable):
    """Pinhole cameras that share one image size (pixels).

    Poses may be float64, which they are as read: coordinates may be large (metres on a map).
    """

    intrinsics: Float[Tensor, "*batch 3 3"]
    cam_to_world: Float[Tensor, "*batch 4 4"]
    height: int
    width: int


@dataclass(frozen=True)
class SourceViews(Movable):
    """The posed photos that a novel view is rendered from."""

    cameras: Cameras
    images: Float[Tensor, "views 3 height width"]


@dataclass(frozen=True)
class TargetView(Movable):
    """A view to render, with whatever truth exists for it.

    `depth` in metres, 0 where unknown; `labels` are training ids with `num_classes` as the ignore label;
    `instances` are the head's channels of a scene's instances, -1 for none, and larger numbers for instances that the
    scene's training frames do not show.
    """

    camera: Cameras
    image: Float[Tensor, "3 height width"]
    depth: Float[Tensor, "height width"] | None = None
    labels: Int64[Tensor, "height width"] | None = None
    instances: Int64[Tensor, "height width"] | None = None


@dataclass(frozen=True)
class Example(Movable):
    """One target view, its source views and the depth range (metres) of its rays."""

    scene: str
    frame: int
    target: TargetView
    sources: SourceViews
    source_frames: tuple[int, ...]
    near: float
    far: float


@dataclass(frozen=True)
class FrameFailure:
    """Stands where an `Example` should be when a file of it could not be read; training counts and skips it."""

    scene: str
    frame: int
    message: str


@dataclass(frozen=True)
class Rays(Movable):
    """Rays of one target camera: `origins + z * directions`, with z the depth along the camera axis.

    `directions` are not normalised; `pixels` are integer (u, v) = (column, row). `camera` is the one they belong to,
    where it is known.
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    pixels: Int64[Tensor, "rays 2"]
    camera: Cameras | None = None

    def __getitem__(self, part: slice) -> "Rays":
        return Rays(self.origins[part], self.directions[part], self.pixels[part], self.camera)


@dataclass(frozen=True)
class Wanted:
    """Which semantics to render: `features` of rays, the `field` of features at every sample, and the cosines of the
    field with a `reference` feature of each ray (the last two only together with the first)."""

    features: bool = False
    field: bool = False
    reference: Float[Tensor, "rays channels"] | None = None

    def __getitem__(self, part: slice) -> "Wanted":
        return Wanted(self.features, self.field, None if self.reference is None else self.reference[part])


NOTHING = Wanted()


@dataclass(frozen=True)
class RayOutput(Movable):
    """What one pass (coarse or fine) renders for a set of rays; paper section 3.2.

    `features` are the rendered semantic features, `field` the per-sample ones, `guidance` the cosines of the field with
    the reference features (depth-guided loss), `logits` the per-ray class logits of label rendering.
    """

    rgb: Float[Tensor, "rays 3"]
    depth: Float[Tensor, "rays"]
    weights: Float[Tensor, "rays samples"]
    z: Float[Tensor, "rays samples"]
    features: Float[Tensor, "rays channels"] | None = None
    field: Float[Tensor, "rays samples channels"] | None = None
    guidance: Float[Tensor, "rays samples"] | None = None
    logits: Float[Tensor, "rays classes"] | None = None

    def scaled(self, unit: float) -> "RayOutput":
        """The same with depths, until now in lengths of `unit` metres, in metres."""
        return replace(self, depth=self.depth * unit, z=self.z * unit)

    @staticmethod
    def joined(parts: "Sequence[RayOutput]") -> "RayOutput":
        """The rays of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        values = {field.name: [getattr(part, field.name) for part in parts] for field in fields(RayOutput)}
        joined = {name: torch.cat(each) for name, each in values.items() if each[0] is not None}
        return RayOutput(**joined)


@dataclass(frozen=True)
class ImageOutput(Movable):
    """A rendered view: colour and depth at the render stride, logits of classes and instances at full resolution."""

    rgb: Float[Tensor, "3 rows cols"]
    depth: Float[Tensor, "rows cols"]
    features: Float[Tensor, "channels feature_rows feature_cols"] | None = None
    logits: Float[Tensor, "classes height width"] | None = None
    instance_logits: Float[Tensor, "outputs height width"] | None = None
