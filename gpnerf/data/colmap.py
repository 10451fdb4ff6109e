"""Reads a COLMAP sparse model: the poses and cameras of photographs, and how near and far its points are."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gpnerf.data.colmap_files import require_whole
from gpnerf.data.lens import Lens
from gpnerf.data.posed_photos import IMAGES, PosedPhoto, PosedPhotos, checked_lens, checked_pose, in_order, inside
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# Where COLMAP and nerfstudio put their models.
_PLACES = ("sparse", "sparse/*", "colmap/sparse/*")
# Where a model keeps focal lengths, principal point and distortion among its numbers.
_MODELS = {
    "SIMPLE_PINHOLE": ((0, 0), (1, 2), ()),
    "PINHOLE": ((0, 1), (2, 3), ()),
    "SIMPLE_RADIAL": ((0, 0), (1, 2), (3,)),
    "RADIAL": ((0, 0), (1, 2), (3, 4)),
    "OPENCV": ((0, 1), (2, 3), (4, 5, 6, 7)),
}
_COEFFICIENTS = 4  # k1 k2 p1 p2: OpenCV takes no fewer
# A few points are wrong, and surfaces go on between and behind the points.
_PERCENTILES = (0.5, 99.5)
_MARGINS = (0.8, 1.25)

Points = dict[int, Float[np.ndarray, "3"]]


def find_model(folder: Path) -> Path | None:
    """The folder of a scene's sparse model, in text or binary; None without one.

    Where images do not connect, COLMAP writes several models in any order: the one with the longest list is taken.
    """
    found = [path for place in _PLACES for path in folder.glob(f"{place}/images.*") if path.suffix in (".bin", ".txt")]
    found = [path for path in found if path.exists()]
    if len(found) > 1:
        logger.warning("%s: %d COLMAP models, the largest is taken", folder, len(found))
    return max(found, key=lambda path: path.stat().st_size).parent if found else None


def read_colmap(folder: Path, model: Path) -> PosedPhotos:
    """The registered images of a sparse model, whose files lie in `folder`/images.

    Camera models PINHOLE, SIMPLE_PINHOLE, SIMPLE_RADIAL, RADIAL and OPENCV. Near and far follow from the depths of the
    points in the images that see them; without points there are none.

    Raises:
        UserError: pycolmap is missing, the files are damaged, or an image is not below the folder.
    """
    reconstruction, images = _load(model)
    if not images:
        raise UserError(f"{model}: expected images with poses, found none; run COLMAP again")
    photos = [_photo(folder, name, image, f"{model}: image {name}") for name, image in images]
    # Copies, while the model that they are views of is there.
    points = {number: np.array(point.xyz) for number, point in reconstruction.points3D.items()}
    return PosedPhotos(in_order(photos, model), _depth_range(points, [image for _, image in images], model))


def _load(model: Path) -> tuple[Any, list[tuple[str, Any]]]:
    """The model, and its registered images with their names."""
    try:
        import pycolmap  # an extra: only those who have such scenes need it
    except ImportError as error:
        raise UserError(f"{model}: expected pycolmap to read it with, found none; `pip install pycolmap`") from error
    require_whole(model)
    try:
        reconstruction = pycolmap.Reconstruction(str(model))
        # A name becomes text only now, if it is text.
        return reconstruction, [(image.name, image) for image in reconstruction.images.values() if image.has_pose]
    except (ValueError, LookupError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{model}: expected a COLMAP model, found a fault ({reason}); export it again") from error


def _photo(folder: Path, name: str, image: Any, where: str) -> PosedPhoto:
    path = inside(folder / IMAGES, name, where)
    if not path.is_file():
        raise UserError(f"{where}: expected the file {path}, found none; put COLMAP's images into {folder / IMAGES}")
    pose = np.vstack([image.cam_from_world().inverse().matrix(), (0, 0, 0, 1)])
    return PosedPhoto(path, _lens(image.camera, where), checked_pose(pose, where))


def _lens(camera: Any, where: str) -> Lens:
    if camera.model_name not in _MODELS:
        raise UserError(
            f"{where}: expected a camera of {', '.join(_MODELS)}, found {camera.model_name}; "
            "undistort with `colmap image_undistorter`"
        )
    focal, centre, distortion = (
        tuple(float(camera.params[place]) for place in places) for places in _MODELS[camera.model_name]
    )
    # Pixel centres: COLMAP's lie at 0.5, ours at integers.
    middle = (centre[0] - 0.5, centre[1] - 0.5)
    padded = (*distortion, *[0.0] * (_COEFFICIENTS - len(distortion)))
    return checked_lens(Lens(camera.height, camera.width, (focal[0], focal[1]), middle, padded), where)


def _depth_range(points: Points, images: list[Any], model: Path) -> tuple[float, float] | None:
    try:
        depths = np.concatenate([np.empty(0), *_depths(points, images)])
    except KeyError as error:
        raise UserError(
            f"{model}: expected the points that images see, found no point {error}; copy or export it again"
        ) from error
    depths = depths[np.isfinite(depths) & (depths > 0)]
    if not len(depths):
        return None
    near, far = np.percentile(depths, _PERCENTILES) * _MARGINS
    return float(near), float(far)


def _depths(points: Points, images: list[Any]) -> Iterator[Float[np.ndarray, "seen"]]:
    """How far along its camera's axis each image sees its points."""
    for image in images:
        seen = [points[point.point3D_id] for point in image.points2D if point.has_point3D()]
        if seen:
            row = image.cam_from_world().matrix()[2]
            yield np.array(seen) @ row[:3] + row[3]
