"""Use from Python: a checkpoint, posed photos, a rendered camera."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_model import CLASSES, FAR, NEAR, architecture, cameras, example, model
from tiny_runs import REPOSITORY

import gpnerf
from gpnerf.checkpoint import load_checkpoint, save_checkpoint
from gpnerf.checkpoint.released import to_released
from gpnerf.errors import UserError
from gpnerf.metrics.segmentation import predicted_labels
from gpnerf.novel_views import NovelViews
from gpnerf.rendering import render_view
from gpnerf.structures import SourceViews

NAMES = ("wall", "floor", "chair")


def write_checkpoint(folder: Path, **changes: Any) -> Path:
    path = folder / "model_000004.pth"
    content = {"architecture": architecture(**changes).to_dict(), "class_names": list(NAMES)}
    state = model(seed=1, **changes).state_dict()
    save_checkpoint(
        path, {"model": state, "step": 4, "depth_range": (NEAR, FAR), "optimizer": {"state": {}}, **content}
    )
    return path


def posed_photos(views: int = 3) -> dict[str, np.ndarray]:
    sources = example(views).sources
    return {
        "images": sources.images.numpy(),
        "intrinsics": sources.cameras.intrinsics.numpy(),
        "cam_to_world": sources.cameras.cam_to_world.numpy(),
    }


def target() -> tuple[np.ndarray, np.ndarray]:
    camera = cameras(1, 33, 38)
    return camera.intrinsics[0].numpy(), camera.cam_to_world[0].double().numpy()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> NovelViews:
    return gpnerf.load(write_checkpoint(tmp_path_factory.mktemp("weights")), device="cpu")


@pytest.fixture
def views(loaded: NovelViews) -> NovelViews:
    """A loaded model that has seen the photos."""
    loaded.depth_range = (NEAR, FAR)
    loaded.encode(**posed_photos())
    return loaded


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("changes", [{}, {"semantic_model": "fc"}])
def test_it_renders_what_the_model_itself_renders(tmp_path: Path, stride: int, changes: dict[str, Any]) -> None:
    views = gpnerf.load(str(write_checkpoint(tmp_path, **changes)), device="cpu")
    views.encode(**posed_photos())
    view = views.render(*target(), height=33, width=38, stride=stride)
    network, camera = model(seed=1, **changes), cameras(1, 33, 38)
    with torch.no_grad():
        maps = network.encode_sources(example(3).sources)
    camera = replace(camera, intrinsics=camera.intrinsics[0], cam_to_world=camera.cam_to_world[0])
    expected = render_view(network, maps, camera, NEAR, FAR, stride)
    assert view.colour.dtype == np.uint8 and view.colour.shape == (-(-33 // stride), -(-38 // stride), 3)
    colour = expected.rgb.permute(1, 2, 0).clamp(0, 1).numpy()
    assert np.abs(view.colour / 255 - colour).max() <= 0.51 / 255
    assert np.allclose(view.depth, expected.depth.numpy(), atol=5e-5)
    assert view.class_ids.shape == (33, 38) and view.class_ids.min() >= 0 and view.class_ids.max() < CLASSES
    assert (view.class_ids == predicted_labels(expected.logits).numpy()).mean() > 0.99
    assert view.class_names == NAMES


def test_photos_may_come_in_any_usual_form(views: NovelViews, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = posed_photos()
    eight_bits = (photos["images"] * 255).round().astype(np.uint8)
    forms = (
        eight_bits,
        np.ascontiguousarray(eight_bits.transpose(0, 2, 3, 1)),
        list(eight_bits.transpose(0, 2, 3, 1)),
        torch.from_numpy(eight_bits),
        eight_bits / 255,
    )
    taken: list[SourceViews] = []
    encode = views.model.encode_sources
    monkeypatch.setattr(views.model, "encode_sources", lambda sources: taken.append(sources) or encode(sources))
    for images in forms:
        views.encode(images, photos["intrinsics"][0], torch.from_numpy(photos["cam_to_world"]).double())
    for sources in taken:
        assert np.allclose(sources.images.numpy(), eight_bits / 255, atol=1e-6)
        assert np.array_equal(sources.cameras.intrinsics.numpy(), photos["intrinsics"])
        assert np.array_equal(sources.cameras.cam_to_world.numpy(), photos["cam_to_world"])
    assert len(taken) == len(forms)


def test_later_photos_replace_earlier_ones(views: NovelViews) -> None:
    before = views.render(*target(), height=33, width=38, stride=2)
    views.encode(**{**posed_photos(), "images": 1 - posed_photos()["images"]})
    assert np.abs(before.colour.astype(int) - views.render(*target(), 33, 38, stride=2).colour).max() > 3


def test_the_depth_range_may_be_set(views: NovelViews) -> None:
    views.depth_range = (0.1, 0.2)
    depth = views.render(*target(), height=33, width=38, stride=2).depth
    assert depth.min() >= 0.0999 and depth.max() <= 0.2001


def with_nan(array: np.ndarray, index: int) -> np.ndarray:
    array = array.copy()
    array[index].flat[0] = np.nan
    return array


PHOTOS = posed_photos()
BAD_PHOTOS: list[tuple[str, Any, str]] = [
    ("images", PHOTOS["images"][0], r"images: expected \[n, height, width, 3\].*\[3, 32, 40\]"),
    ("images", PHOTOS["images"][:, :1], r"found \[3, 1, 32, 40\]"),
    ("images", PHOTOS["images"][:, :, :20], r"32 pixels.*found \[3, 3, 20, 40\]"),
    ("images", PHOTOS["images"] * 255, "divide by 255"),
    ("images", (PHOTOS["images"] * 255).astype(np.int64), "int64"),
    ("images", with_nan(PHOTOS["images"], 2), r"images\[2\].*NaN"),
    ("images", [np.zeros((32, 40, 3)), np.zeros((32, 41, 3))], "images: expected an array"),
    ("images", np.array(["a.png"]), "images: expected an array"),
    ("intrinsics", PHOTOS["intrinsics"][:2], r"expected shape \[3, 3, 3\].*found \[2, 3, 3\]"),
    ("intrinsics", np.eye(4), r"found \[4, 4\]"),
    ("intrinsics", with_nan(PHOTOS["intrinsics"], 1), r"intrinsics\[1\].*NaN"),
    ("intrinsics", -PHOTOS["intrinsics"], r"intrinsics\[0\].*the rows"),
    (
        "intrinsics",
        PHOTOS["intrinsics"] * [[-1], [1], [1]],
        r"intrinsics\[0\].*focal lengths -\S+ \S+, which must be above",
    ),
    ("intrinsics", PHOTOS["intrinsics"] / [[40], [32], [1]], r"intrinsics\[0\].*40x32 picture, found .*shares"),
    ("intrinsics", PHOTOS["intrinsics"] * [[4], [4], [1]], r"intrinsics\[0\].*outside the picture"),
    ("cam_to_world", PHOTOS["cam_to_world"][0], r"expected shape \[3, 4, 4\].*found \[4, 4\]"),
    ("cam_to_world", PHOTOS["cam_to_world"][:, :3], r"found \[3, 3, 4\]"),
    ("cam_to_world", with_nan(PHOTOS["cam_to_world"], 2), r"cam_to_world\[2\].*NaN"),
    ("cam_to_world", PHOTOS["cam_to_world"].transpose(0, 2, 1), r"cam_to_world\[0\].*transposed"),
    ("cam_to_world", PHOTOS["cam_to_world"] * [[2, 2, 2, 1]], r"cam_to_world\[0\].*a scaled rotation"),
    ("cam_to_world", PHOTOS["cam_to_world"] * [[1, 1, -1, 1]], r"cam_to_world\[0\].*mirrored"),
    ("cam_to_world", 0 * PHOTOS["cam_to_world"], r"cam_to_world\[0\].*nothing but zeros"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_PHOTOS)
def test_bad_photos_are_refused_in_one_line(loaded: NovelViews, name: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        loaded.encode(**{**PHOTOS, name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 8}, "height: expected at least 32 pixels, found 8"),
        ({"stride": 0}, "stride: expected at least 1"),
        ({"cam_to_world": np.full((4, 4), np.inf)}, r"cam_to_world\[0\].*inf or NaN"),
        ({"intrinsics": np.diag([0.0, 0, 1])}, r"intrinsics\[0\].*focal"),
    ],
)
def test_a_bad_camera_is_refused(views: NovelViews, changes: dict[str, Any], message: str) -> None:
    intrinsics, cam_to_world = target()
    camera = {"intrinsics": intrinsics, "cam_to_world": cam_to_world, "height": 33, "width": 38}
    with pytest.raises(UserError, match=message):
        views.render(**{**camera, **changes})


def test_rendering_needs_photos_and_a_depth_range(tmp_path: Path, views: NovelViews) -> None:
    with pytest.raises(UserError, match="call encode"):
        gpnerf.load(write_checkpoint(tmp_path), "cpu").render(*target(), 33, 38)
    views.depth_range = (2.0, 1.0)
    with pytest.raises(UserError, match="near < far"):
        views.render(*target(), 33, 38)


def test_checkpoints_that_cannot_be_loaded(tmp_path: Path) -> None:
    good = load_checkpoint(write_checkpoint(tmp_path))
    sizes = good["architecture"]
    cases = {
        "released": (to_released(good["model"]), "eval_gpnerf.py"),
        "old": ({key: value for key, value in good.items() if key != "depth_range"}, "depth_range"),
        "later": ({**good, "architecture": {**sizes, "warp": 9}}, "warp"),
        "wide": ({**good, "architecture": {**sizes, "netwidth": 32}}, "shape"),
    }
    for name, (content, part) in cases.items():
        path = tmp_path / f"{name}.pth"
        save_checkpoint(path, content)
        with pytest.raises(UserError, match=re.escape(part)) as error:
            gpnerf.load(path, "cpu")
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        gpnerf.load(tmp_path / "missing.pth")
    with pytest.raises(UserError, match="device: expected one of auto, cpu, cuda, found 'tpu'"):
        gpnerf.load(tmp_path / "released.pth", device="tpu")


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    section = (REPOSITORY / "README.md").read_text().split("## From Python")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code, replaced = re.subn(r'gpnerf\.load\("[^"]+"', f"gpnerf.load({str(write_checkpoint(tmp_path))!r}", code)
    assert replaced == 1
    photos, (_, new_pose) = posed_photos(), target()
    paths = [tmp_path / f"{number}.png" for number in range(len(photos["images"]))]
    for path, image in zip(paths, photos["images"].transpose(0, 2, 3, 1), strict=True):
        iio.imwrite(path, (image * 255).round().astype(np.uint8))
    monkeypatch.chdir(tmp_path)
    given = {"intrinsics": photos["intrinsics"][0], "poses": photos["cam_to_world"], "new_pose": new_pose}
    exec(code, {"paths": paths, **given})
    assert iio.imread("view.png").shape == (128, 160, 3)
    mean_depth, *names = capsys.readouterr().out.split(maxsplit=1)
    assert NEAR < float(mean_depth) < FAR
    assert any(name in names[0] for name in NAMES)
