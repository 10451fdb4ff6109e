"""Pictures, panels and PNG files: round trips, what colours mean, where tiles lie."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import Tensor

from gpnerf.errors import UserError
from gpnerf.metrics.image import to_uint8
from gpnerf.structures import Cameras, ImageOutput, TargetView
from gpnerf.visualize.colouring import (
    IGNORE_COLOUR,
    class_palette,
    colour_picture,
    depth_picture,
    error_picture,
    label_picture,
    pca_picture,
)
from gpnerf.visualize.panel import Labelled, LegendEntry, Tile, panel, view_panel
from gpnerf.visualize.png import read_depth, read_labels, read_picture, save_depth, save_labels, save_picture


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_saved_colours_are_the_scored_colours() -> None:
    rgb = 1.4 * random(3, 9, 11) - 0.2
    assert np.array_equal(colour_picture(rgb), to_uint8(rgb).permute(1, 2, 0).numpy())


def test_depth_runs_from_blue_to_red_and_unknown_is_black() -> None:
    near, far = 1.0, 3.0
    picture = depth_picture(torch.tensor([[0.0, 1.2, 2.8, 50.0, far]]), near, far)[0].astype(int)
    unknown, close, distant, beyond, at_far = picture
    assert unknown.tolist() == [0, 0, 0]
    assert close[2] > close[0] and distant[0] > distant[2]
    assert beyond.tolist() == at_far.tolist()


def test_error_picture_is_dark_where_pictures_agree() -> None:
    a = torch.zeros(3, 1, 3)
    b = torch.tensor([0.0, 0.1, 0.3]).expand(3, 1, 3)
    brightness = error_picture(a, b, largest=0.3).astype(int).sum(-1)[0]
    assert brightness[0] < 10 < brightness[1] < brightness[2]
    assert np.array_equal(error_picture(a, b, 0.3), error_picture(b, a, 0.3))


def test_labels_take_the_palette_and_anything_else_is_grey() -> None:
    palette = class_palette(3)
    picture = label_picture(torch.tensor([[0, 2, 1, 3, -1, 255]]), palette)
    expected = [*palette[[0, 2, 1]].tolist(), *[list(IGNORE_COLOUR)] * 3]
    assert picture[0].tolist() == expected


@pytest.mark.parametrize("num_classes", [1, 20, 51])
def test_palette_colours_can_be_told_apart(num_classes: int) -> None:
    colours = np.vstack([class_palette(num_classes), [IGNORE_COLOUR], [(0, 0, 0)]]).astype(float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert distances[np.triu_indices(len(colours), 1)].min() > 25
    assert np.array_equal(class_palette(60)[:num_classes], class_palette(num_classes))


def test_pca_picture_shows_the_principal_components() -> None:
    features = random(12, 20, 30) * torch.linspace(1, 9, 12)[:, None, None]
    picture = pca_picture(features).reshape(-1, 3).astype(float)
    components = PCA(3, svd_solver="full").fit_transform(features.flatten(1).T.double().numpy())
    for channel in range(3):
        unsaturated = (picture[:, channel] > 0) & (picture[:, channel] < 255)
        assert unsaturated.mean() > 0.9
        correlation = np.corrcoef(picture[unsaturated, channel], components[unsaturated, channel])[0, 1]
        assert abs(correlation) > 0.999


def test_pca_picture_ignores_offset_scale_and_channel_order() -> None:
    features = random(8, 10, 12) * torch.linspace(1, 9, 8)[:, None, None]
    shuffled = features[torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])]
    for changed in (shuffled, 2.5 * features + 1):
        assert np.abs(pca_picture(changed).astype(int) - pca_picture(features)).max() <= 1


@pytest.mark.parametrize(
    "features", [torch.zeros(5, 4, 6), torch.full((5, 4, 6), 1e3), random(2, 4, 6), random(1, 1, 1)]
)
def test_pca_picture_of_poor_maps(features: Tensor) -> None:
    picture = pca_picture(features)
    assert picture.shape == (*features.shape[1:], 3)
    if features.std(dim=(1, 2), correction=0).max() == 0:
        assert np.abs(picture.astype(int) - 128).max() <= 1


# --- panels ---


def solid(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def swatch(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether the legend at the foot shows this colour (a letter's soft edge may have it by chance)."""
    return area(picture[-30:], colour) >= 14 * 14


def area(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(-1).sum())


def test_panel_holds_every_tile_whole_and_in_reading_order() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    sheet = panel([Tile(f"tile {i}", solid(3, 4, c)) for i, c in enumerate(colours)], columns=2, tile_width=120)
    centres = []
    for colour in colours:
        rows, columns = np.nonzero((sheet == colour).all(-1))
        assert len(rows) == 120 * 90
        centres.append((round(rows.mean()), round(columns.mean())))
    assert centres == sorted(centres)
    assert len({row for row, _ in centres}) == 3 and len({column for _, column in centres}) == 2


def test_panel_titles_stay_above_their_own_tile() -> None:
    short, long = (panel([Tile(title, solid(4, 4, (9, 9, 9)))] * 2, 2, tile_width=100) for title in ("a", "a" * 200))
    assert short.shape == long.shape
    margin_between_titles = long[:24, 112:118]
    assert (margin_between_titles == long[-1, -1]).all()
    assert (long[:24] != long[-1, -1]).sum() > (short[:24] != short[-1, -1]).sum() > 0


def test_panel_legend_wraps_and_shows_every_colour() -> None:
    names = [f"class number {i}" for i in range(20)]
    legend = [LegendEntry(name, tuple(c)) for name, c in zip(names, class_palette(20).tolist(), strict=True)]
    tiles = [Tile("", solid(4, 4, (255, 255, 255)))]
    for width in (150, 400):
        sheet = panel(tiles, 1, legend, tile_width=width)
        for entry in legend:
            assert area(sheet, entry.colour) >= 14 * 14


def view(stride: int) -> tuple[TargetView, ImageOutput, Tensor]:
    height, width = 24, 30
    camera = Cameras(torch.eye(3), torch.eye(4), height, width)
    labels = torch.zeros(height, width, dtype=torch.int64)
    labels[:, 10:20], labels[:4] = 2, 4
    target = TargetView(camera, random(3, height, width), 1 + random(height, width), labels)
    rendered = target.image[:, ::stride, ::stride]
    features = random(16, height // 2, width // 2)
    return target, ImageOutput(rendered, target.depth[::stride, ::stride], features), labels.clamp(max=3)


def classes(target: TargetView, predicted: Tensor) -> Labelled:
    return Labelled("classes", target.labels, predicted, ["wall", "floor", "bed", "chair"])


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_view_panel_of_a_perfect_rendering_has_equal_halves(stride: int) -> None:
    target, output, predicted = view(stride)
    sheet = view_panel(target, output, [classes(target, predicted)], stride)
    tile = (320, round(output.rgb.shape[1] * 320 / output.rgb.shape[2]))
    for left in (10, 670):
        truth, prediction = (sheet[29 : 29 + tile[1], x : x + tile[0]] for x in (left, left + 330))
        assert np.array_equal(truth, prediction)
        assert truth.std() > 10
    palette = class_palette(4)
    shown = [swatch(sheet, tuple(colour)) for colour in [*palette.tolist(), list(IGNORE_COLOUR)]]
    assert shown == [True, False, True, True, True]  # no floor anywhere; chair predicted; ignored in the truth


def test_view_panel_leaves_out_what_is_missing() -> None:
    target, output, predicted = view(1)
    bare = TargetView(target.camera, target.image)
    full = view_panel(target, output, [classes(target, predicted)], 1)
    plain = view_panel(bare, ImageOutput(output.rgb, output.depth), [], 1)
    without_truth = view_panel(bare, output, [classes(bare, predicted)], 1)
    assert plain.shape[0] < without_truth.shape[0] <= full.shape[0]
    assert swatch(full, IGNORE_COLOUR) and not swatch(without_truth, IGNORE_COLOUR)


# --- files ---


@settings(deadline=None)
@given(values=st.lists(st.floats(-1, 80), min_size=6, max_size=6))
def test_depth_file_keeps_millimetres(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "depth.png"
    depth = torch.tensor(values).reshape(2, 3)
    save_depth(path, depth)
    assert float((read_depth(path) - depth.clamp(0, 65.535)).abs().max()) <= 0.0005 + 1e-5


def test_depth_file_is_what_other_readers_expect(tmp_path: Path) -> None:
    save_depth(tmp_path / "d.png", torch.tensor([[1.2344, 0.0, float("nan"), 99.0]]))
    stored = imageio.imread(tmp_path / "d.png")
    assert stored.dtype == np.uint16 and stored.tolist() == [[1234, 0, 0, 65535]]


def test_label_file_round_trip(tmp_path: Path) -> None:
    ignore = 51
    labels = torch.tensor([[0, 7, 50], [ignore, 3, ignore]])
    save_labels(tmp_path / "s.png", labels, ignore)
    stored = imageio.imread(tmp_path / "s.png")
    assert stored.dtype == np.uint8 and stored.tolist() == [[0, 7, 50], [255, 3, 255]]
    assert torch.equal(read_labels(tmp_path / "s.png", ignore), labels)
    assert read_labels(tmp_path / "s.png", ignore=20).tolist() == [[0, 7, 50], [20, 3, 20]]


def test_picture_file_round_trip(tmp_path: Path) -> None:
    picture = to_uint8(random(7, 5, 3)).numpy()
    path = tmp_path / "not" / "yet" / "there" / "rgb.png"
    save_picture(path, picture)
    assert np.array_equal(read_picture(path), picture)
    assert np.array_equal(imageio.imread(path), picture)
    assert [p.name for p in path.parent.iterdir()] == ["rgb.png"]


def test_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rgb.png"
    old = solid(2, 2, (1, 2, 3))
    save_picture(path, old)
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        save_picture(path, solid(2, 2, (9, 9, 9)))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert np.array_equal(read_picture(path), old)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("read", [read_picture, read_depth, lambda path: read_labels(path, 20)])
def test_unreadable_files_are_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(UserError, match=r"gone\.png: .*found no such file"):
        read(tmp_path / "gone.png")
    (tmp_path / "bad.png").write_bytes(b"GIF89a")
    with pytest.raises(UserError, match=r"bad\.png: .*cannot be decoded"):
        read(tmp_path / "bad.png")
