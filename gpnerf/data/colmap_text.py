"""COLMAP's text files: cameras.txt, images.txt and points3D.txt."""

from collections.abc import Iterator

import numpy as np

from gpnerf.data.colmap_model import CAMERA_MODELS, ModelCamera, ModelError, ModelImage, ModelPoints, world_to_camera

_NUMBERS = dict(CAMERA_MODELS)
_IMAGE_FIELDS = 10  # id, rotation (4), translation (3), camera, name


def read_cameras(text: str) -> dict[int, ModelCamera]:
    """Lines `id MODEL width height numbers...`."""
    return dict(_camera(line.split()) for _, line in _lines(text))


def read_images(text: str) -> tuple[ModelImage, ...]:
    """Pairs of lines: `id qw qx qy qz tx ty tz camera name`, where the name may hold blanks, and `x y point ...`."""
    return tuple(_image(*pair) for pair in _pairs(text))


def read_points(text: str) -> ModelPoints:
    """Lines `id x y z ...`."""
    rows = [line.split(maxsplit=4)[:4] for _, line in _lines(text)]
    if short := next((row for row in rows if len(row) < 4), None):
        raise ModelError(f"a point of {len(short)} numbers")
    numbers = np.array([int(row[0]) for row in rows], np.int64)
    return ModelPoints.of(numbers, np.array([row[1:] for row in rows], np.float64).reshape(-1, 3))


def count_images(text: str) -> int:
    """How many images there are."""
    return sum(1 for _ in _pairs(text))


def _camera(words: list[str]) -> tuple[int, ModelCamera]:
    if len(words) < 4:
        raise ModelError(f"a camera of {len(words)} words")
    number, model, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
    numbers = tuple(map(float, words[4:]))
    if len(numbers) != _NUMBERS.get(model, len(numbers)):
        raise ModelError(f"camera {number} of model {model} with {len(numbers)} numbers")
    return number, ModelCamera(model, width, height, numbers)


def _image(number: int, line: str, points: str) -> ModelImage:
    words, seen = line.split(maxsplit=_IMAGE_FIELDS - 1), points.split()
    if len(words) < _IMAGE_FIELDS or len(seen) % 3:
        raise ModelError(f"line {number} or {number + 1}, which hold no image and its points")
    _, *pose, camera = int(words[0]), *map(float, words[1:8]), int(words[8])
    matrix = world_to_camera(tuple(pose[:4]), tuple(pose[4:]))
    return ModelImage(words[-1].rstrip(), camera, matrix, np.array(seen[2::3]).astype(np.int64))


def _pairs(text: str) -> Iterator[tuple[int, str, str]]:
    """The line of each image with its number from 1, and the next one, which may be empty."""
    every, behind = text.split("\n"), 0
    for place, line in _lines(text):
        if place >= behind:
            behind = place + 2
            yield place + 1, line, every[place + 1] if behind <= len(every) else ""


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, with their places from 0."""
    for number, line in enumerate(text.split("\n")):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line
