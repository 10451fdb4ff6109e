"""Panels and files of instances."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from gpnerf.structures import Cameras, ImageOutput, TargetView
from gpnerf.visualize.colouring import IGNORE_COLOUR, class_palette
from gpnerf.visualize.panel import Labelled, view_panel
from gpnerf.visualize.png import save_instances, save_segments

HEIGHT, WIDTH = 24, 30
NAMES = [f"instance {raw}" for raw in (3, 5, 9, 12)]


def swatch(picture: np.ndarray, colour: list[int]) -> bool:
    """Whether the legend at the foot shows this colour."""
    return int((picture[-30:] == colour).all(-1).sum()) >= 14 * 14


@pytest.mark.parametrize("shown", [{0, 1}, {1, 2, 3}, {3}])
def test_an_instance_has_one_colour_in_every_panel(shown: set[int]) -> None:
    ids = torch.full((HEIGHT, WIDTH), min(shown))
    for row, number in enumerate(sorted(shown)):
        ids[8 * row : 8 * row + 8] = number
    truth = torch.where(ids == max(shown), -1, ids)
    truth[0] = 17  # one that no training frame shows
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    target = TargetView(Cameras(torch.eye(3), torch.eye(4), HEIGHT, WIDTH), image)
    labelled = [Labelled("instances", truth, ids, NAMES)]
    sheet = view_panel(target, ImageOutput(image, torch.ones(HEIGHT, WIDTH)), labelled, 1)
    palette = class_palette(len(NAMES)).tolist()
    assert {k for k, colour in enumerate(palette) if swatch(sheet, colour)} == shown
    assert swatch(sheet, list(IGNORE_COLOUR))


@pytest.mark.parametrize(("largest", "kind"), [(254, np.uint8), (255, np.uint16), (65534, np.uint16)])
def test_instance_files_are_as_wide_as_the_scenes_largest_id(tmp_path: Path, largest: int, kind: type) -> None:
    ids = torch.tensor([[0, 7], [largest, 254]])
    save_instances(tmp_path / "i.png", ids, largest)
    found = iio.imread(tmp_path / "i.png")
    assert found.dtype == kind and np.array_equal(found, ids.numpy())


def test_segments_hold_class_and_instance_of_every_pixel(tmp_path: Path) -> None:
    classes, instances = torch.tensor([[0, 19], [255, 7]]), torch.tensor([[0, 300], [0, 65534]])
    save_segments(tmp_path / "p.png", classes, instances)
    red, green, blue = np.moveaxis(iio.imread(tmp_path / "p.png").astype(np.int64), -1, 0)
    assert np.array_equal(red, classes.numpy()) and np.array_equal(green + 256 * blue, instances.numpy())
