"""What all views say of each vertex of a surface: its colour, its class and its instance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from tqdm import tqdm

from gpnerf import geometry
from gpnerf.fusion.observation import Observation, Observations
from gpnerf.fusion.reading import read_depth, read_nearest
from gpnerf.fusion.surface import Surface

NONE = -1  # stands for no class and for no instance
_GIGABYTE = 10**9
_BYTES = 2 * 4  # of a vertex's channel: its sum, and at most as much again that a view adds


@dataclass(frozen=True)
class Appearance:
    """Per vertex: colour in [0, 1], the class and the instance with most votes (`NONE` without any), and whether a view
    sees it. `classes` and `instances` are None where the views have none."""

    colour: Float[Tensor, "vertices 3"]
    classes: Int64[Tensor, "vertices"] | None
    instances: Int64[Tensor, "vertices"] | None
    seen: Bool[Tensor, "vertices"]

    def keep(self, kept: Bool[Tensor, "vertices"]) -> "Appearance":
        """The chosen vertices only."""
        classes, instances = (None if ids is None else ids[kept] for ids in (self.classes, self.instances))
        return Appearance(self.colour[kept], classes, instances, self.seen[kept])

    @staticmethod
    def joined(parts: "Sequence[Appearance]") -> "Appearance":
        """The vertices of all parts, one after the other."""
        columns = zip(*((part.colour, part.classes, part.instances, part.seen) for part in parts), strict=True)
        joined: list[Any] = [None if column[0] is None else torch.cat(column) for column in columns]
        return Appearance(*joined)


def collect_votes(surface: Surface, views: Observations, tolerance: float, memory_budget: float) -> Appearance:
    """Average the colours and count the votes of the pixels that show each vertex, in about `memory_budget` GB.

    A view sees a vertex from its front, where its depth there agrees to `tolerance` metres; it counts with the cosine
    between the normal and the view over depth^2, so that near and frontal views win.
    """
    first = next(iter(views))
    channels = [3, *(0 if votes is None else len(votes) for votes in (first.classes, first.instances))]
    block = max(1, int(memory_budget * _GIGABYTE / (sum(channels) * _BYTES)))
    points, normals = torch.from_numpy(surface.vertices), torch.from_numpy(surface.normals)
    shares = zip(points.split(block), normals.split(block), strict=True)
    return Appearance.joined([_appearance(*share, views, tolerance, channels) for share in shares])


def _appearance(
    points: Tensor, normals: Tensor, views: Observations, tolerance: float, channels: list[int]
) -> Appearance:
    """The appearance of a block of vertices."""
    sums, weight = torch.zeros(sum(channels), len(points)), torch.zeros(len(points))
    for view in tqdm(views, desc="label", unit="view"):
        vertices, pixels, share = _seen(points, normals, view, tolerance)
        said = torch.cat([each for each in (view.image, view.classes, view.instances) if each is not None])
        sums[:, vertices] += share * read_nearest(said, pixels)
        weight[vertices] += share
    colour, classes, instances = sums.split(channels)
    seen = weight > 0
    return Appearance(
        (colour / weight.where(seen, 1)).T.contiguous(), _winner(classes, weight), _winner(instances, weight), seen
    )


def _seen(
    points: Float[Tensor, "vertices 3"], normals: Float[Tensor, "vertices 3"], view: Observation, tolerance: float
) -> tuple[Int64[Tensor, "seen"], Float[Tensor, "seen 2"], Float[Tensor, "seen"]]:
    """The vertices that a view sees, where in its picture, and how much it counts for each."""
    camera = view.camera
    pose = camera.cam_to_world.to(points.dtype)
    from_camera = points - pose[:3, 3]
    z, cosine = from_camera @ pose[:3, 2], -geometry.cosine(from_camera, normals)
    pixels = geometry.project(points, camera.mapped(lambda matrix: matrix[None]))[0][0]
    facing = geometry.inside_image(pixels[None], camera.height, camera.width)[0] & (z > 0) & (cosine > 0)
    vertices = facing.nonzero()[:, 0]
    depth = read_depth(view.depth, pixels[vertices])
    vertices = vertices[(depth > 0) & ((depth - z[vertices]).abs() < tolerance)]
    return vertices, pixels[vertices], cosine[vertices] / z[vertices] ** 2


def _winner(
    votes: Float[Tensor, "channels vertices"], weight: Float[Tensor, "vertices"]
) -> Int64[Tensor, "vertices"] | None:
    """The channel with most votes; what the votes of a vertex lack to its weight are votes for none."""
    if not len(votes):
        return None
    most, winner = votes.max(dim=0)
    return torch.where(most > weight - votes.sum(dim=0), winner, NONE)
