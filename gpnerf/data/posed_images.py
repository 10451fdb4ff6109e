"""One's own photographs as a scene: images with a transforms.json or a COLMAP model, labels and depth if there."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpnerf.data.colmap import find_model, read_colmap
from gpnerf.data.files import FileList, SceneFiles, first_of, rescale_intrinsics
from gpnerf.data.frames import ImageForm
from gpnerf.data.labels import LabelMap
from gpnerf.data.lens import Lens
from gpnerf.data.posed_photos import IMAGES, PosedPhoto, PosedPhotos, inside
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.transforms import TRANSFORMS, read_transforms
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# A picture that is squeezed by more than this is likely to be an oversight.
_SQUEEZE = 1.05


def posed_images_scene(
    folder: Path, *, name: str, height: int, width: int, label_map: LabelMap | None, cache: FrameCache
) -> Scene:
    """Open `folder` with images and transforms.json, which wins, or images/ and sparse/0/ (COLMAP).

    Frame N is the N-th image by file name, from 0. images/x.jpg may have depth/x.png (millimetres, as long as the
    poses are in metres), label-filt/x.png (raw ids of ScanNet's table) and instance-filt/x.png. Distortion is undone.
    """
    found = _read(folder)
    photos = found.photos
    lenses = tuple(photo.lens for photo in photos)
    plain = all(lens.is_pinhole and lens.size == lenses[0].size for lens in lenses)
    _warn_of_squeezing(name, lenses, height, width)
    return Scene(
        name=name,
        files=_files(folder, name, photos),
        numbers=np.arange(len(photos)),
        intrinsics=np.stack(
            [rescale_intrinsics(lens.rectified, (width / lens.width, height / lens.height)) for lens in lenses]
        ),
        cam_to_world=np.stack([photo.cam_to_world for photo in photos]),
        file_size=lenses[0].size,
        form=ImageForm(height, width, (width / lenses[0].width, height / lenses[0].height)),
        label_map=label_map,
        strict_labels=True,
        cache=cache,
        lenses=() if plain else lenses,
        depth_range=found.depth_range,
    )


def _read(folder: Path) -> PosedPhotos:
    if (folder / TRANSFORMS).exists():
        return read_transforms(folder)
    if model := find_model(folder):
        return read_colmap(folder, model)
    raise UserError(
        f"{folder}: expected {TRANSFORMS}, or {IMAGES}/ with a COLMAP model in sparse/0/, found neither; "
        "run COLMAP or nerfstudio's ns-process-data on the images"
    )


def _files(folder: Path, name: str, photos: Sequence[PosedPhoto]) -> SceneFiles:
    """The colour files and those of the other parts, which are named as the image below images/ is."""
    named = [_below_images(folder, photo.path) for photo in photos]

    def part(place: str) -> list[Path]:
        return [inside(folder, f"{place}/{name.with_suffix('.png')}", str(folder)) for name in named]

    depth = [photo.depth or path for photo, path in zip(photos, part("depth"), strict=True)]
    return SceneFiles(
        FileList(tuple(photo.path for photo in photos)),
        *(_optional(name, paths) for paths in (depth, part("label-filt"), part("instance-filt"))),
    )


def _below_images(folder: Path, path: Path) -> Path:
    relative = path.relative_to(folder)
    return relative.relative_to(IMAGES) if relative.is_relative_to(IMAGES) else relative


def _optional(name: str, paths: Sequence[Path]) -> FileList | None:
    """The files that are there; None where there is none, and a warning where only some are."""
    missing = frozenset(place for place, path in enumerate(paths) if not path.is_file())
    if len(missing) == len(paths):
        return None
    if missing:
        lacking = first_of([paths[place] for place in sorted(missing)])
        logger.warning("%s: %d of %d frames go without: %s", name, len(missing), len(paths), lacking)
    return FileList(tuple(paths), missing)


def _warn_of_squeezing(name: str, lenses: Sequence[Lens], height: int, width: int) -> None:
    ratios = np.array([lens.width / lens.height for lens in lenses]) / (width / height)
    if max(ratios.max(), 1 / ratios.min()) > _SQUEEZE:
        logger.warning(
            "%s: photographs of %dx%d are squeezed into %dx%d; --original_width and --original_height keep their shape",
            name,
            lenses[0].width,
            lenses[0].height,
            width,
            height,
        )
