"""What one view tells of a scene."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from gpnerf.structures import Cameras, Movable


@dataclass(frozen=True)
class Observation(Movable):
    """A camera with what it sees, rendered or true.

    `depth` in metres along the camera axis, 0 where unknown. `classes` and `instances` are each pixel's votes:
    probabilities, or 1 for the one that is known; what they lack to 1 is a vote for none.
    """

    camera: Cameras
    image: Float[Tensor, "3 height width"]
    depth: Float[Tensor, "height width"]
    classes: Float[Tensor, "classes height width"] | None = None
    instances: Float[Tensor, "instances height width"] | None = None


@runtime_checkable
class Observations(Protocol):
    """Observations that can be gone through several times, each made when it is its turn: all do not fit into memory.

    All have votes of the same channels.
    """

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Observation]: ...
