"""The typed values that travel between the layers.

Conventions: metres; OpenCV axes (x right, y down, z forward); camera-to-world matrices; pixel centres at integers;
depth along the camera z axis; RGB float in [0, 1]; images are channels first.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# Whether the released program's forms are kept where they differ.
Compat = Literal["none", "release"]

_Moved = TypeVar("_Moved", bound="Movable")


class Movable:
    """Gives a frozen dataclass `.to(device)`, applied to every tensor field and nested structure."""

    def to(self: _Moved, device: torch.device | str) -> _Moved:
        moved = {
            field.name: value.to(device)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor | Movable)
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class Cameras(Movable):
    """Pinhole cameras that share one image size (pixels)."""

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
    `instances` are raw instance ids.
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

    `directions` are not normalised; `pixels` are integer (u, v) = (column, row).
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    pixels: Int64[Tensor, "rays 2"]


@dataclass(frozen=True)
class RayOutput(Movable):
    """What one pass (coarse or fine) renders for a set of rays; paper section 3.2.

    `features` are the rendered semantic features, `field` the per-sample ones (depth-guided loss only),
    `logits` the per-ray class logits of label rendering (`--semantic_model fc`).
    """

    rgb: Float[Tensor, "rays 3"]
    depth: Float[Tensor, "rays"]
    weights: Float[Tensor, "rays samples"]
    z: Float[Tensor, "rays samples"]
    features: Float[Tensor, "rays channels"] | None = None
    field: Float[Tensor, "rays samples channels"] | None = None
    logits: Float[Tensor, "rays classes"] | None = None


@dataclass(frozen=True)
class ImageOutput(Movable):
    """A rendered view: colour and depth at the render stride, class logits at full resolution."""

    rgb: Float[Tensor, "3 rows cols"]
    depth: Float[Tensor, "rows cols"]
    features: Float[Tensor, "channels feature_rows feature_cols"] | None = None
    logits: Float[Tensor, "classes height width"] | None = None
