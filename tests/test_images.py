"""Decoding and resizing."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from tiny_scenes import smooth_image

from gpnerf.data.images import blur_and_resize, decode_colour, decode_map, image_size, resize_nearest
from gpnerf.errors import UserError


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60)
def test_nearest_neighbour_takes_the_pixel_of_nearest_centre(old: int, new: int) -> None:
    ramp = np.arange(old)[:, None].repeat(2, axis=1)
    picked = resize_nearest(ramp, new, 2, centred=True)[:, 0]
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    assert (np.abs(picked - centres) <= 0.5 + 1e-9).all()


def test_resizing_to_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).random((12, 17, 3)).astype(np.float32)
    assert np.array_equal(blur_and_resize(image, 12, 17, (1.0, 1.0)), image)
    assert np.array_equal(resize_nearest(image[..., 0], 12, 17, centred=True), image[..., 0])


def test_shrinking_is_scipys_gaussian_and_the_mean_of_the_four_middle_pixels() -> None:
    image = np.random.default_rng(0).random((24, 32, 3)).astype(np.float32)
    sigma = 4 / 3
    blurred = gaussian_filter(image, (sigma, sigma, 0), mode="mirror", truncate=3 / sigma)
    expected = (blurred[1::4, 1::4] + blurred[1::4, 2::4] + blurred[2::4, 1::4] + blurred[2::4, 2::4]) / 4
    assert np.allclose(blur_and_resize(image, 6, 8, (0.25, 0.25)), expected, atol=5e-5)


@pytest.mark.parametrize(("sigma", "radius"), [(1.0, 2), (1.2, 3), (4 / 3, 3), (5 / 3, 4), (1.9, 5)])
def test_blur_reaches_as_far_as_the_rule_says(sigma: float, radius: int) -> None:
    image = np.random.default_rng(0).random((24, 32, 3)).astype(np.float32)
    expected = gaussian_filter(image, (sigma, sigma, 0), mode="mirror", truncate=radius / sigma)
    scale = 1 / (3 * sigma)
    assert np.allclose(blur_and_resize(image, 24, 32, (scale, scale)), expected, atol=5e-5)


def test_blur_acts_only_on_the_axis_that_shrinks() -> None:
    rows = np.random.default_rng(0).random((20, 1, 1)).astype(np.float32)
    image = rows.repeat(80, axis=1).repeat(3, axis=2)
    assert np.allclose(blur_and_resize(image, 20, 20, (0.25, 1.0)), image[:, :20], atol=5e-5)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_short_anywhere_is_an_error(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    iio.imwrite(whole, noise)
    data = whole.read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.97):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError, match=r"cut\.(png|jpg)"):
            decode_colour(cut)


def test_a_png_with_a_wrong_byte_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    iio.imwrite(path, np.random.default_rng(0).integers(0, 60000, (40, 50)).astype(np.uint16))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"map\.png"):
        decode_map(path)


def test_maps_and_colour_keep_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    depth = rng.integers(0, 65536, (9, 11)).astype(np.uint16)
    colour = smooth_image(rng, 9, 11)
    iio.imwrite(tmp_path / "depth.png", depth)
    iio.imwrite(tmp_path / "rgba.png", np.concatenate([colour, np.full((9, 11, 1), 255, np.uint8)], axis=2))
    assert np.array_equal(decode_map(tmp_path / "depth.png"), depth)
    assert np.array_equal(decode_colour(tmp_path / "rgba.png"), colour)
    assert image_size(tmp_path / "depth.png") == (9, 11)


def test_colour_where_a_map_belongs_is_an_error_and_the_other_way_round(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "colour.png", smooth_image(np.random.default_rng(0), 6, 8))
    iio.imwrite(tmp_path / "map.png", np.zeros((6, 8), np.uint16))
    with pytest.raises(UserError, match=r"colour\.png.*one channel"):
        decode_map(tmp_path / "colour.png")
    with pytest.raises(UserError, match=r"map\.png.*RGB"):
        decode_colour(tmp_path / "map.png")


def test_depth_and_ids_in_jpeg_are_refused(tmp_path: Path) -> None:
    """Under any name: 8 bits that are lossy are neither millimetres nor ids."""
    for name in ("depth.jpg", "depth.png"):
        Image.new("L", (32, 24), 80).save(tmp_path / name, format="JPEG")
        with pytest.raises(UserError, match=f"{name}: expected .* without loss, found a JPEG"):
            decode_map(tmp_path / name)
