"""Lenses: what is undone agrees with COLMAP's undistortion, fills the picture, and is refused where it cannot be."""

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posed_scenes import parameters

from gpnerf.data.lens import Lens
from gpnerf.data.rectification import DistortionError

HEIGHT, WIDTH = 120, 160
WIDE = {  # focal length by width: what such lenses distort
    0.35: [("RADIAL", (-0.25, 0.09)), ("SIMPLE_RADIAL", (-0.03,)), ("SIMPLE_RADIAL", (0.1,))],
    0.5: [
        ("RADIAL", (-0.25, 0.09)),
        ("OPENCV", (-0.2, 0.06, 0.01, -0.005)),
        ("OPENCV_FISHEYE", (0.1, -0.03, 0.0, 0.0)),
    ],
    0.65: [
        ("FISHEYE", ()),
        ("SIMPLE_RADIAL", (-0.1,)),
        ("FULL_OPENCV", (0.3, 0.1, 0.004, -0.006, 0.01, 0.45, 0.2, 0.03)),
    ],
    0.8: [("SIMPLE_RADIAL", (-0.2,)), ("SIMPLE_RADIAL", (0.3,)), ("OPENCV", (-0.25, 0.09, 0.02, 0.01))],
}
CASES = [(focal, *kind) for focal, kinds in WIDE.items() for kind in kinds]


def lens_of(focal: float, model: str, distortion: tuple[float, ...], **size: int) -> Lens:
    """A lens of the test's picture; the focal length is given by the width, COLMAP's model by name."""
    size = {"height": HEIGHT, "width": WIDTH} | size
    middle = ((size["width"] - 1) / 2 + 1.3, (size["height"] - 1) / 2 - 0.8)
    length = focal * size["width"]
    padded = (*distortion, *[0.0] * (4 - len(distortion)))
    return Lens(size["height"], size["width"], (length, length), middle, padded, "FISHEYE" in model)


def colmap_camera(lens: Lens, model: str, distortion: tuple[float, ...]) -> pycolmap.Camera:
    return pycolmap.Camera(
        model=model, width=lens.width, height=lens.height, params=parameters(model, lens.matrix, distortion)
    )


def smooth_picture(height: int, width: int) -> np.ndarray:
    v, u = np.mgrid[:height, :width] / width * 40
    return np.rint(127 + 60 * np.stack([np.sin(u), np.cos(v), np.sin(u + v)], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize(("focal", "model", "distortion"), CASES)
def test_wide_lenses_are_undone_as_colmap_does(focal: float, model: str, distortion: tuple[float, ...]) -> None:
    """The pinhole picture of COLMAP's undistorter, resampled to our intrinsics, is our picture."""
    lens = lens_of(focal, model, distortion)
    picture = smooth_picture(HEIGHT, WIDTH)
    camera = colmap_camera(lens, model, distortion)
    options = pycolmap.UndistortCameraOptions(blank_pixels=0, max_scale=4)
    bitmap, theirs = pycolmap.undistort_image(options, pycolmap.Bitmap.from_array(picture), camera)
    expected, ours = bitmap.to_array().astype(float), lens.undistort(picture, 1).astype(float)
    matrix = lens.rectified
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]], axis=-1).reshape(-1, 2)
    (fx, fy), (cx, cy) = theirs.params[:2], theirs.params[2:] - 0.5
    x, y = rays[:, 0] * fx + cx, rays[:, 1] * fy + cy
    both = (x > 1) & (x < theirs.width - 2) & (y > 1) & (y < theirs.height - 2)
    assert both.mean() > 0.5
    assert np.abs(bilinear(expected, x[both], y[both]) - ours.reshape(-1, 3)[both]).max() < 8
    assert np.abs(bilinear(expected, x[both], y[both]) - ours.reshape(-1, 3)[both]).mean() < 1


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = (x - column)[:, None], (y - row)[:, None]
    upper = image[row, column] * (1 - right) + image[row, column + 1] * right
    lower = image[row + 1, column] * (1 - right) + image[row + 1, column + 1] * right
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize(("focal", "model", "distortion"), CASES)
def test_the_undistorted_picture_fills_itself_from_the_photograph(
    focal: float, model: str, distortion: tuple[float, ...]
) -> None:
    """By COLMAP's formulas every pixel comes from inside the photograph, and each border all but touches its border."""
    lens = lens_of(focal, model, distortion)
    camera, matrix = colmap_camera(lens, model, distortion), lens.rectified
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(u)], axis=-1)
    seen = np.array(camera.img_from_cam(rays.reshape(-1, 3))).reshape(HEIGHT, WIDTH, 2) - 0.5
    slack = 0.02  # pixels; borders are followed at some of their points
    assert (seen > -slack).all() and (seen < np.array([WIDTH, HEIGHT]) - 1 + slack).all()
    distances = [seen[:, 0, 0], seen[0, :, 1], WIDTH - 1 - seen[:, -1, 0], HEIGHT - 1 - seen[-1, :, 1]]
    assert max(border.min() for border in distances) < 0.6


FOLDED = [
    lens_of(0.46, "SIMPLE_RADIAL", (-0.5,), height=256, width=320),
    lens_of(0.46, "SIMPLE_RADIAL", (-0.35,), height=256, width=320),
    Lens(480, 640, (2606.0, 3134.0), (198.5, 161.5), (-44.9, 1017.0, 0.62, 0.94)),
    lens_of(0.5, "RADIAL", (-1.2, 0.5)),  # out, back, and out again: the corners have a ray behind the fold
    lens_of(0.5, "OPENCV_FISHEYE", (-0.4, 0.0, 0.0, 0.0)),
    lens_of(0.5, "OPENCV", (0.0, 0.0, 0.4, 0.0)),
    lens_of(0.5, "OPENCV", (1e308, 0.0, 0.0, 0.0)),
    lens_of(1e-300, "OPENCV", (0.1, 0.0, 0.0, 0.0)),
]


@pytest.mark.parametrize("lens", FOLDED)
def test_a_distortion_that_folds_inside_the_picture_is_refused(lens: Lens) -> None:
    with pytest.raises(DistortionError, match="folds"):
        _ = lens.rectified


@pytest.mark.parametrize("lens", FOLDED[:6])
def test_what_is_called_folded_is_folded(lens: Lens) -> None:
    """Going outwards to some corner, the distorted radius of COLMAP's formulas stops growing inside the picture."""
    coefficients = (*lens.distortion, *[0.0] * (4 - len(lens.distortion)))
    model = "OPENCV_FISHEYE" if lens.fisheye else "OPENCV"
    camera = colmap_camera(lens, model, coefficients)
    (fx, fy), (cx, cy) = lens.focal, lens.centre
    stops = []
    for corner in ((0, 0), (lens.width - 1, 0), (0, lens.height - 1), (lens.width - 1, lens.height - 1)):
        target = np.array([(corner[0] - cx) / fx, (corner[1] - cy) / fy])
        rays = np.linspace(0, 3, 3000)[:, None] * np.append(target, 0) + [0, 0, 1]
        seen = np.array(camera.img_from_cam(rays)) - 0.5 - lens.centre
        along = (seen / lens.focal) @ target / (target @ target)
        first = int(np.argmax(np.diff(along) <= 0))
        stops.append(along[first] if (np.diff(along) <= 0).any() else np.inf)
    assert min(stops) < 1


@given(st.floats(0.3, 2), st.floats(-0.6, 0.6), st.floats(-0.4, 0.4), st.floats(-0.04, 0.04), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_lens_is_refused_or_undone_one_to_one(focal: float, k1: float, k2: float, p1: float, fish: bool) -> None:
    """Between neighbouring pixels the photograph's, by COLMAP's formulas, keep their order and stay inside it."""
    model = "OPENCV_FISHEYE" if fish else "OPENCV"
    lens = lens_of(focal, model, (k1, k2, p1))
    try:
        matrix = lens.rectified
    except DistortionError:
        return
    camera = colmap_camera(lens, model, lens.distortion)
    v, u = np.mgrid[:HEIGHT:6, :WIDTH:6]
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(u)], axis=-1)
    seen = np.array(camera.img_from_cam(rays.reshape(-1, 3))).reshape(*u.shape, 2) - 0.5
    assert (seen > -0.1).all() and (seen < np.array([WIDTH, HEIGHT]) - 0.9).all()
    across, down = np.diff(seen, axis=1)[:-1], np.diff(seen, axis=0)[:, :-1]
    assert (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] > 0).all()


@pytest.mark.parametrize("degrees", [100, 140, 180])
def test_fisheyes_are_cropped_to_what_a_pinhole_can_show(degrees: int) -> None:
    lens = lens_of(1 / np.deg2rad(degrees), "FISHEYE", ())
    half = WIDTH / 2 / lens.rectified[0, 0]
    assert half == pytest.approx(min(np.tan(np.deg2rad(min(degrees / 2, 89))), 2.75), rel=0.1)


@pytest.mark.parametrize("degrees", [230, 300])
def test_a_fisheye_of_which_most_would_be_lost_is_refused(degrees: int) -> None:
    with pytest.raises(DistortionError, match="no more than"):
        _ = lens_of(1 / np.deg2rad(degrees), "FISHEYE", ()).rectified


def test_a_fisheye_without_coefficients_is_no_pinhole() -> None:
    assert lens_of(0.8, "OPENCV", (0.0, 0.0)).is_pinhole and not lens_of(0.8, "FISHEYE", ()).is_pinhole
