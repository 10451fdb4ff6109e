"""Numbers of text files, as printf writes them on any system."""

from pathlib import Path

import numpy as np
import pytest
from tiny_scenes import circle_pose, write_scannet

from gpnerf.data.files import parse_numbers, read_matrix
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache
from gpnerf.errors import UserError

NANS = [
    "nan",
    "-nan",
    "NaN",
    "nan(ind)",
    "-nan(ind)",
    "nan(snan)",
    "nan()",
    "-1.#IND",
    "-1.#IND00",
    "1.#QNAN",
    "1.#SNAN",
]
INFS = {"inf": np.inf, "-inf": -np.inf, "Infinity": np.inf, "1.#INF": np.inf, "-1.#INF": -np.inf, "1.#INF00": np.inf}


@pytest.mark.parametrize("word", NANS)
def test_words_for_nan(word: str) -> None:
    numbers = parse_numbers(f"1 {word} -2.5e-3", 3, "file")
    assert np.isnan(numbers[1]) and numbers[[0, 2]].tolist() == [1, -2.5e-3]


@pytest.mark.parametrize("word", INFS)
def test_words_for_infinity(word: str) -> None:
    assert parse_numbers(word, 1, "file").tolist() == [INFS[word]]


@pytest.mark.parametrize("word", ["nano", "1.#", "#IND", "(ind)", "1.#IND.5", "two", "1,5"])
def test_other_words_are_no_numbers(word: str) -> None:
    with pytest.raises(UserError, match="file: expected 1 numbers, found text"):
        parse_numbers(word, 1, "file")


def test_a_pose_that_a_windows_recorder_lost_is_lost(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene", frames=4, labels=False, depth=False)
    (folder / "pose" / "1.txt").write_text("-1.#IND " * 16)
    (folder / "pose" / "2.txt").write_text("-nan(ind) " * 16)
    assert np.isnan(read_matrix(folder / "pose" / "2.txt", "pose")).all()
    scene = scannet_scene(folder, name="scene", height=48, width=64, label_map=None, cache=FrameCache(0))
    assert scene.numbers.tolist() == [0, 3]
    assert np.allclose(scene.cam_to_world[1], circle_pose(3, 4))
