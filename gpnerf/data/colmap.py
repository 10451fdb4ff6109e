"""Photographs of a COLMAP sparse model: their poses and cameras, and how near and far its points are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gpnerf.data.colmap_files import ModelFiles
from gpnerf.data.colmap_model import ModelCamera, ModelImage, SparseModel
from gpnerf.data.lens import Lens
from gpnerf.data.posed_photos import IMAGES, PosedPhoto, PosedPhotos, checked_lens, checked_pose, in_order, inside
from gpnerf.errors import UserError

# Where a camera model keeps focal lengths, principal point and OpenCV's coefficients among its numbers; COLMAP's
# formulas for these models are OpenCV's, whose shorter lists are filled with zeros.
_MODELS = {
    "SIMPLE_PINHOLE": ((0, 0), (1, 2), ()),
    "PINHOLE": ((0, 1), (2, 3), ()),
    "SIMPLE_RADIAL": ((0, 0), (1, 2), (3,)),
    "RADIAL": ((0, 0), (1, 2), (3, 4)),
    "OPENCV": ((0, 1), (2, 3), (4, 5, 6, 7)),
    "FULL_OPENCV": ((0, 1), (2, 3), (4, 5, 6, 7, 8, 9, 10, 11)),
    "SIMPLE_FISHEYE": ((0, 0), (1, 2), ()),
    "FISHEYE": ((0, 1), (2, 3), ()),
    "SIMPLE_RADIAL_FISHEYE": ((0, 0), (1, 2), (3,)),
    "RADIAL_FISHEYE": ((0, 0), (1, 2), (3, 4)),
    "OPENCV_FISHEYE": ((0, 1), (2, 3), (4, 5, 6, 7)),
}
_NAMED = 100  # characters of a name that a message holds
_COEFFICIENTS = 4  # OpenCV takes no fewer
# A few points are wrong, and surfaces go on between and behind the points.
_PERCENTILES = (0.5, 99.5)
_MARGINS = (0.8, 1.25)


def read_colmap(folder: Path, files: ModelFiles) -> PosedPhotos:
    """The registered images of a sparse model, whose files lie in `folder`/images.

    Near and far follow from the depths of the points in the images that see them; without points there are none.

    Raises:
        UserError: the files are damaged, a camera is of another kind, or an image is not below the folder.
    """
    model = files.read()
    if not model.images:
        raise UserError(f"{files.path('images')}: expected images with poses, found none; run COLMAP again")
    where = f"{files.path('images')}: image"
    photos = [_photo(folder, model, image, f"{where} {image.name[:_NAMED]!r}") for image in model.images]
    return PosedPhotos(in_order(photos, files.folder), depth_range(model, files))


@np.errstate(over="ignore", invalid="ignore")  # points at infinity are left out
def depth_range(model: SparseModel, files: ModelFiles) -> tuple[float, float] | None:
    """Near and far of the points in the images that see them; None where none does.

    Raises:
        UserError: an image sees a point that is not there.
    """
    try:
        depths = np.concatenate([np.empty(0), *_depths(model)])
    except KeyError as error:
        raise UserError(
            f"{files.path('points3D')}: expected the points that images see, found no point {error}; copy or export it "
            "again"
        ) from error
    depths = depths[np.isfinite(depths) & (depths > 0)]
    if not len(depths):
        return None
    near, far = (np.percentile(depths, _PERCENTILES) * _MARGINS).tolist()
    return (near, far) if 0 < near < far < np.inf else None


def _depths(model: SparseModel) -> Iterator[Float[np.ndarray, "seen"]]:
    """How far along its camera's axis each image sees its points."""
    if model.points is None:
        return
    for image in model.images:
        row = image.world_to_camera[2]
        yield model.points.find(image.seen[image.seen >= 0]) @ row[:3] + row[3]


def _photo(folder: Path, model: SparseModel, image: ModelImage, where: str) -> PosedPhoto:
    path = inside(folder / IMAGES, image.name, where)
    if not path.is_file():
        raise UserError(f"{where}: expected the file {path}, found none; put COLMAP's images into {folder / IMAGES}")
    if image.camera not in model.cameras:
        raise UserError(f"{where}: expected a camera {image.camera}, found none of that number; export the model again")
    lens = _lens(model.cameras[image.camera], where)
    return PosedPhoto(path, lens, checked_pose(image.camera_to_world, where))


def _lens(camera: ModelCamera, where: str) -> Lens:
    if camera.model not in _MODELS:
        raise UserError(
            f"{where}: expected a camera of {', '.join(_MODELS)}, found {camera.model}; "
            "undistort with `colmap image_undistorter`"
        )
    focal, centre, distortion = (tuple(camera.numbers[place] for place in places) for places in _MODELS[camera.model])
    # Pixel centres: COLMAP's lie at 0.5, ours at integers.
    middle = (centre[0] - 0.5, centre[1] - 0.5)
    padded = (*distortion, *[0.0] * (_COEFFICIENTS - len(distortion)))
    is_fisheye = camera.model.endswith("FISHEYE")
    return checked_lens(Lens(camera.height, camera.width, (focal[0], focal[1]), middle, padded, is_fisheye), where)
