"""Colour modes, transparency, orientation and damage of pictures, whatever their names end in."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_folder import content, write_own
from PIL import ExifTags, Image
from posed_scenes import write_transforms
from tiny_scenes import smooth_image, write_replica, write_scannet

from gpnerf.data.images import decode_colour, read_header
from gpnerf.data.jpeg import decode_jpeg
from gpnerf.data.posed_images import posed_images_scene
from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError

HEIGHT, WIDTH = 48, 64
COLOUR = smooth_image(np.random.default_rng(0), HEIGHT, WIDTH)
NOISE = np.random.default_rng(2).integers(-6, 7, (192, 256, 3))
PHOTO = np.clip(smooth_image(np.random.default_rng(1), 192, 256) + NOISE, 0, 255).astype(np.uint8)
GREY = COLOUR[..., 0]


def saved(folder: Path, image: Image.Image, name: str = "picture.png", **options: object) -> Path:
    path = folder / name
    image.save(path, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else None, **options)
    return path


def code(**options: object) -> bytes:
    """`PHOTO` as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG", "a.Jpeg", "a.png", "a"])
def test_inks_are_turned_into_colours_whatever_the_name_ends_in(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(COLOUR).convert("CMYK").save(path, "JPEG", quality=97)
    assert np.abs(decode_colour(path).astype(int) - COLOUR).mean() < 2


def test_luma_with_black_ink_is_turned_into_colours(tmp_path: Path) -> None:
    """Made from luma and chroma of the inks, in a CMYK file whose Adobe marker is told so afterwards."""
    luma = np.array(Image.fromarray(255 - COLOUR).convert("YCbCr"))
    channels = [*(Image.fromarray(255 - luma[..., k]) for k in range(3)), Image.new("L", (WIDTH, HEIGHT))]
    stream = io.BytesIO()
    Image.merge("CMYK", channels).save(stream, "JPEG", quality=97)
    content = bytearray(stream.getvalue())
    content[content.find(b"Adobe") + 11] = 2  # the transform of YCCK
    (tmp_path / "ycck.jpg").write_bytes(content)
    assert np.abs(decode_colour(tmp_path / "ycck.jpg").astype(int) - COLOUR).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_is_repeated(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "grey"
    Image.fromarray(GREY).save(path, kind, **({"quality": 98} if kind == "JPEG" else {}))
    found = decode_colour(path).astype(int)
    assert np.abs(found - GREY[..., None]).max() <= (4 if kind == "JPEG" else 0)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = Image.fromarray(GREY > 100)
    assert np.array_equal(decode_colour(saved(tmp_path, bits)), np.where(GREY > 100, 255, 0)[..., None].repeat(3, 2))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(32)
    assert np.array_equal(decode_colour(saved(tmp_path, palette)), np.array(palette.convert("RGB")))


def cut_out(colour: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colour, alpha]))


ALPHA = np.broadcast_to(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, WIDTH))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBA of 16 bits"])
def test_what_is_transparent_is_shown_on_white(tmp_path: Path, mode: str) -> None:
    colour = GREY[..., None].repeat(3, 2) if mode == "LA" else COLOUR
    path = tmp_path / "cut.png"
    if mode == "RGBA of 16 bits":
        cv2.imwrite(str(path), 257 * np.dstack([colour[..., ::-1], ALPHA]).astype(np.uint16))
    else:
        cut_out(colour, ALPHA).convert(mode).save(path)
    share = ALPHA[..., None] / 255
    assert np.abs(decode_colour(path) - (share * colour + (1 - share) * 255)).max() <= 1
    assert read_header(path).has_alpha


def test_a_transparent_entry_of_a_palette_and_a_transparent_colour_are_white(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(8)
    expected = np.array(palette.convert("RGB"))
    expected[np.array(palette) == 3] = 255
    path = saved(tmp_path, palette, "palette.png", transparency=3)
    assert np.array_equal(decode_colour(path), expected) and read_header(path).has_alpha
    key = tuple(COLOUR[5, 7].tolist())
    path = saved(tmp_path, Image.fromarray(COLOUR), "key.png", transparency=key)
    expected = np.where((key == COLOUR).all(-1, keepdims=True), 255, COLOUR)
    assert np.array_equal(decode_colour(path), expected) and read_header(path).has_alpha


def test_sixteen_bits_of_colour_are_rounded_to_eight(tmp_path: Path) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    assert np.array_equal(decode_colour(tmp_path / "deep.png"), np.round(deep / 257).astype(np.uint8))


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_values_that_are_no_colours_are_refused(tmp_path: Path, mode: str) -> None:
    numbers = Image.fromarray(GREY.astype(np.uint16 if mode == "I;16" else np.float32))
    with pytest.raises(UserError, match=rf"picture.*expected an RGB image.*of mode {mode}"):
        decode_colour(saved(tmp_path, numbers, f"picture{'.png' if mode == 'I;16' else '.tif'}"))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_pixels_are_taken_as_stored_whatever_exif_asks_for(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for name in ("turned.jpg", "turned.png"):
        path = saved(tmp_path, Image.fromarray(COLOUR), name, exif=exif.tobytes())
        assert np.abs(decode_colour(path).astype(int) - COLOUR).mean() < 3
        assert read_header(path).size == (HEIGHT, WIDTH)
        assert read_header(path).is_turned == (orientation != 1)


FORMS = [{"quality": 90}, {"quality": 90, "progressive": True}, {"quality": 90, "restart_marker_rows": 1}]


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_jpeg_is_read_as_pillow_reads_it(form: dict[str, object]) -> None:
    content = code(**form)
    expected = np.array(Image.open(io.BytesIO(content)))
    assert np.abs(decode_jpeg(content).astype(int) - expected).max() <= 1
    assert np.array_equal(decode_jpeg(content + b"\0" * 500), decode_jpeg(content))  # some cameras write on


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 300, b"\x55" * 40])
def test_a_jpeg_that_its_camera_filled_up_is_read_and_one_with_data_left_over_is_not(padding: bytes) -> None:
    content = code(quality=90)
    assert np.array_equal(decode_jpeg(content[:-2] + padding + content[-2:]), decode_jpeg(content))
    with pytest.raises(ValueError, match="extraneous"):
        decode_jpeg(content[:-2] + bytes(range(100, 250)) + content[-2:])


@pytest.mark.parametrize("form", FORMS)
def test_a_jpeg_whose_middle_is_missing_is_refused(form: dict[str, object]) -> None:
    content, rng = code(**form), np.random.default_rng(3)
    first = content.find(b"\xff\xda") + 14  # behind the headers
    for start, share in zip(rng.uniform(0.05, 0.7, 25), rng.uniform(0.3, 0.9, 25), strict=True):
        begin = int(first + start * (len(content) - first))
        end = int(begin + share * (len(content) - 2 - begin))
        with pytest.raises(ValueError, match=r"Corrupt JPEG|Inconsistent progression|no JPEG"):
            decode_jpeg(content[:begin] + content[end:])


def test_a_damaged_jpeg_is_named_and_nothing_but_the_message_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = code(quality=90)
    path = tmp_path / "photo.JPEG"
    path.write_bytes(whole[: len(whole) // 3] + whole[len(whole) // 2 :])
    with pytest.raises(UserError, match=r"photo\.JPEG.*Corrupt JPEG data: premature end.*restore it"):
        decode_colour(path)
    os.write(2, b"said by somebody else\n")
    assert capfd.readouterr().err == "said by somebody else\n"


def test_a_jpeg_that_states_an_absurd_size_is_refused_before_it_is_decoded() -> None:
    absurd = bytearray(code(quality=90))
    size = absurd.find(b"\xff\xc0") + 5
    absurd[size : size + 4] = b"\xf0\x00\xf0\x00"
    with pytest.raises(ValueError, match="more than"):
        decode_jpeg(bytes(absurd))


def write_unusual(path: Path, turned: bool) -> None:
    if turned:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        Image.open(path).save(path, exif=exif.tobytes())
    else:
        size = Image.open(path).size
        Image.open(path).convert("RGBA").resize(size).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)


@pytest.mark.parametrize("layout", ["posed_images", "scannet", "replica"])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_unusual_in_pictures_is_said_once_a_scene(
    tmp_path: Path, layout: str, turned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    common = {"name": "scene", "height": 24, "width": 32, "label_map": None, "cache": FrameCache(0)}
    if layout == "posed_images":
        folder = write_own(tmp_path)
        write_transforms(folder, content())
        pictures, reader = sorted((folder / "images").iterdir())[1:], posed_images_scene
    elif layout == "scannet":
        folder = write_scannet(tmp_path / "scene", frames=3, labels=False, depth=False)
        pictures, reader = sorted((folder / "color").iterdir()), scannet_scene
    else:
        folder = write_replica(tmp_path / "scene", frames=3)
        pictures, reader = sorted((folder / "rgb").iterdir()), replica_scene
    for path in pictures:
        write_unusual(path, turned)
    scene = reader(folder, **common)
    for index in range(3):
        scene.image(index)
    [message] = [record.getMessage() for record in caplog.records]
    assert ("EXIF" if turned else "transparency") in message and f"such as {pictures[0]}" in message


def test_a_photographs_map_is_found_in_capitals_too(tmp_path: Path) -> None:
    folder = write_own(tmp_path)
    write_transforms(folder, content())
    (folder / "depth").mkdir()
    saved(folder / "depth", Image.fromarray(np.full((24, 32), 2500, np.uint16)), "1.PNG")
    scene = posed_images_scene(folder, name="own", height=24, width=32, label_map=None, cache=FrameCache(0))
    assert scene.depth(0) is None and (scene.depth(1) == 2.5).all()
