"""One's own photographs as a scene: images with a transforms.json or a COLMAP model, labels and depth if there."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpnerf.camera_checks import other_size
from gpnerf.data.colmap import read_colmap
from gpnerf.data.colmap_files import find_model
from gpnerf.data.files import FileList, SceneFiles, first_of, rescale_intrinsics
from gpnerf.data.frames import ImageForm
from gpnerf.data.labels import LabelMap
from gpnerf.data.picture_notes import note_pictures, read_headers
from gpnerf.data.posed_photos import IMAGES, PosedPhoto, PosedPhotos, below_images, inside
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.data.transforms import TRANSFORMS, read_transforms
from gpnerf.data.transforms_parts import find_parts, read_parts
from gpnerf.errors import UserError

logger = logging.getLogger(__name__)

# A picture that is squeezed by more than this is likely to be an oversight.
_SQUEEZE = 1.05
_NAMED = 3  # sizes that a message holds


def posed_images_scene(
    folder: Path, *, name: str, height: int, width: int, label_map: LabelMap | None, cache: FrameCache
) -> Scene:
    """Open `folder` with images and transforms.json, which wins, or images/ and sparse/0/ (COLMAP).

    Instead of transforms.json there may be transforms_train.json and transforms_test.json. Frame N is the N-th image by
    file name, from 0. images/x.jpg may have depth/x.png (millimetres, as long as the poses are in metres),
    label-filt/x.png (raw ids of ScanNet's table) and instance-filt/x.png. Distortion is undone.
    """
    found = read_photos(folder)
    return photographed_scene(folder, found, name=name, height=height, width=width, label_map=label_map, cache=cache)


def photographed_scene(
    folder: Path,
    found: PosedPhotos,
    *,
    name: str,
    height: int,
    width: int,
    label_map: LabelMap | None,
    cache: FrameCache,
) -> Scene:
    """The scene of photographs in `folder` that are read already."""
    numbers = _used(name, found)
    photos = [found.photos[number] for number in numbers]
    lenses = tuple(photo.lens for photo in photos)
    plain = all(lens.is_pinhole and lens.size == lenses[0].size for lens in lenses)
    _warn_of_squeezing(name, photos, height, width)
    _warn_of_another_size(name, photos)
    note_pictures(folder, read_headers([photo.path for photo in photos]))
    return Scene(
        name=name,
        files=_files(folder, name, found.photos),
        numbers=np.array(numbers),
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
        depth_unit=found.depth_unit,
        evaluation_frames=found.split.targets if found.split else (),
    )


def read_photos(folder: Path) -> PosedPhotos:
    """The photographs of a scene's folder: by transforms.json or its parts, else by a COLMAP model.

    Raises:
        UserError: neither is there, or what is there cannot be read.
    """
    if os.path.lexists(folder / TRANSFORMS):  # also what is no file, so that its reader says so
        return read_transforms(folder / TRANSFORMS)
    if parts := find_parts(folder):
        return read_parts(parts)
    if files := find_model(folder):
        return read_colmap(folder, files)
    there = [place for place in ("sparse", "colmap") if (folder / place).exists()]
    found = f"{there[0]}/ without images.bin and images.txt of a model" if there else "neither"
    raise UserError(
        f"{folder}: expected {TRANSFORMS}, or {IMAGES}/ with a COLMAP model in sparse/0/, found {found}; "
        "run COLMAP or nerfstudio's ns-process-data on the images"
    )


def _used(name: str, found: PosedPhotos) -> list[int]:
    """The places of the photographs that are rendered or looked at: all, if the source does not split them."""
    if found.split is None:
        return list(range(len(found.photos)))
    targets, sources = set(found.split.targets), set(found.split.sources)
    logger.warning(
        "%s: split as its files say: %d photographs are rendered in evaluation, from %d others; %d are left out",
        *(name, len(targets), len(sources - targets), len(found.photos) - len(targets | sources)),
    )
    return sorted(targets | sources)


def _files(folder: Path, name: str, photos: Sequence[PosedPhoto]) -> SceneFiles:
    """The colour files and those of the other parts, which are named as the image below images/ is."""
    named = [below_images(folder, photo.path) for photo in photos]

    def part(place: str) -> list[Path]:
        plain, loud = (
            [inside(folder, f"{place}/{name.with_suffix(ending)}", str(folder)) for name in named]
            for ending in (".png", ".PNG")
        )
        return [
            path if path.is_file() or not other.is_file() else other for path, other in zip(plain, loud, strict=True)
        ]

    depth = [photo.depth or path for photo, path in zip(photos, part("depth"), strict=True)]
    return SceneFiles(
        FileList(tuple(photo.path for photo in photos)),
        *(_optional(name, paths) for paths in (depth, part("label-filt"), part("instance-filt"))),
    )


def _optional(name: str, paths: Sequence[Path]) -> FileList | None:
    """The files that are there; None where there is none, and a warning where only some are."""
    missing = frozenset(place for place, path in enumerate(paths) if not path.is_file())
    if len(missing) == len(paths):
        return None
    if missing:
        lacking = first_of([paths[place] for place in sorted(missing)])
        logger.warning("%s: %d of %d frames go without: %s", name, len(missing), len(paths), lacking)
    return FileList(tuple(paths), missing)


def _warn_of_another_size(name: str, photos: Sequence[PosedPhoto]) -> None:
    """One warning that names the first photograph whose principal point is the middle of another picture size."""
    for photo in photos:
        if other := other_size(photo.lens.matrix, *photo.lens.size):
            logger.warning(
                "%s: the principal point of %s is the middle of a %dx%d picture, which has %dx%d; unless it is a crop "
                "of that, scale the intrinsics",
                *(name, photo.path, other[1], other[0], photo.lens.width, photo.lens.height),
            )
            return


def _warn_of_squeezing(name: str, photos: Sequence[PosedPhoto], height: int, width: int) -> None:
    """One warning that names the first photograph whose shape the image size changes, and what keeps it."""
    ratios = [photo.lens.width / photo.lens.height / (width / height) for photo in photos]
    squeezed = [photo for photo, ratio in zip(photos, ratios, strict=True) if max(ratio, 1 / ratio) > _SQUEEZE]
    if squeezed:
        remedy = "--original_width and --original_height keep their shape"
        if len(set(ratios)) > 1:
            remedy = "photographs are of several shapes, of which --original_width and --original_height keep one"
        first = squeezed[0]
        logger.warning(
            "%s: photographs such as %s of %dx%d are squeezed into %dx%d; %s",
            *(name, first.path, first.lens.width, first.lens.height, width, height, remedy),
        )
