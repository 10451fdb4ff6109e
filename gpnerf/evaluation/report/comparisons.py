"""Truth and prediction of the views that went worst, as pictures that a page can hold."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from gpnerf.data.protocol import indices_of
from gpnerf.data.scene import Scene
from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.evaluation.panoptic_files import read_panoptic
from gpnerf.visualize.colouring import class_palette, colour_picture, depth_limits, depth_picture, label_picture
from gpnerf.visualize.png import read_depth, read_instances, read_labels, read_picture

Picture = UInt8[np.ndarray, "height width 3"]
Scores = dict[str, float | None]

# The first of these that a view has says how bad it is.
_JUDGED_BY = ("pq", "miou", "ap75", "psnr")
# A page stays below about 5 MB: so many views of a scene and in all, no wider than this (pixels).
_PER_SCENE, _IN_ALL, _WIDTH = 5, 30, 400
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class Pair:
    """Pictures of one size of the same thing, as `data:` URIs."""

    title: str
    truth: str
    prediction: str


@dataclass(frozen=True)
class Comparison:
    """One view: its scores, and truth and prediction of all that there is truth for."""

    scene: str
    frame: int
    scores: Scores
    pairs: tuple[Pair, ...]


def verdict(scores: Scores) -> tuple[str, float]:
    """Name and value of the score that tells how good a view is; one without any is the best."""
    judged = ((name, value) for name in _JUDGED_BY if (value := scores.get(name)) is not None)
    return next(judged, ("", float("inf")))


def worst_views(
    results: dict[str, Any],
    places: Sequence[tuple[Scene, Path]],
    class_names: Sequence[str],
    stuff: Sequence[int],
    stride: int,
) -> list[Comparison]:
    """The worst few views of every scene, the worst first; those whose pictures were thrown away are left out.

    `places` are scenes with the folders of their pictures, in which colour and depth are at the stride; `stuff` are
    the classes without instances.
    """
    chosen = []
    for scene, folder in places:
        images = results["scenes"][scene.name]["images"].items()
        drawn = [image for image in images if (folder / f"rgb_{image[0]}.png").is_file()]
        worst = sorted(drawn, key=lambda image: verdict(image[1])[1])[:_PER_SCENE]
        chosen += [(scene, folder, int(frame), scores) for frame, scores in worst]
    chosen.sort(key=lambda view: verdict(view[3])[1])
    comparisons = []
    for scene, folder, frame, scores in chosen[:_IN_ALL]:
        pairs = [*_measured(scene, folder, frame, stride), *_labelled(scene, folder, frame, len(class_names), stuff)]
        comparisons.append(Comparison(scene.name, frame, scores, tuple(pairs)))
    return comparisons


def _measured(scene: Scene, folder: Path, frame: int, stride: int) -> Iterator[Pair]:
    """Colour, and depth in one range of colours."""
    (index,) = indices_of(scene, [frame])
    truth = colour_picture(scene.image(index)[:, ::stride, ::stride])
    yield Pair("colour", _photo(truth), _photo(read_picture(folder / f"rgb_{frame}.png")))
    if (depth := scene.depth(index)) is not None:
        near, far = depth_limits(depth)
        maps = (depth[::stride, ::stride], read_depth(folder / f"depth_{frame}.png"))
        yield Pair(f"depth, {near:.1f} to {far:.1f} m", *(_photo(depth_picture(each, near, far)) for each in maps))


def _labelled(scene: Scene, folder: Path, frame: int, classes: int, stuff: Sequence[int]) -> Iterator[Pair]:
    """What was recognised, as far as there are truth and files of it."""
    (index,) = indices_of(scene, [frame])
    labels, channels, instances = scene.labels(index), scene.channels(index), scene.instance_map
    path = folder / f"semantic_{frame}.png"
    if labels is not None and path.is_file():
        yield _pair("classes", labels, read_labels(path, ignore=classes), classes)
    if channels is None or instances is None:
        return
    path = folder / f"instance_{frame}.png"
    if path.is_file():
        yield _pair("instances", channels, instances.to_channels(read_instances(path)), len(instances.ids))
    path = folder / f"panoptic_{frame}.png"
    if labels is not None and path.is_file():
        truth, found = PanopticMap(labels, channels), read_panoptic(path, instances)
        yield _pair("panoptic", truth.numbered(stuff), found.numbered(stuff), len(stuff) + len(instances.ids))


def _pair(
    title: str, truth: Int64[Tensor, "height width"], prediction: Int64[Tensor, "height width"], count: int
) -> Pair:
    """Ids below `count` in the colours of a palette, every pixel as it is."""
    step, palette = -(-truth.shape[1] // _WIDTH), class_palette(count)
    pictures = (label_picture(ids[::step, ::step], palette) for ids in (truth, prediction))
    return Pair(title, *(_uri("png", picture, []) for picture in pictures))


def _photo(picture: Picture) -> str:
    if picture.shape[1] > _WIDTH:
        height = round(picture.shape[0] * _WIDTH / picture.shape[1])
        picture = cv2.resize(picture, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return _uri("jpeg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])


def _uri(kind: str, picture: Picture, options: list[int]) -> str:
    encoded = cv2.imencode(f".{kind}", np.ascontiguousarray(picture[..., ::-1]), options)[1]
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"
