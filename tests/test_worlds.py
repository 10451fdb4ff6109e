"""Worlds without classes: seeded, seen alike from everywhere, and more varied than rooms."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rooms_helper import covisible

from gpnerf.data.worlds import write_world

FRAMES, HEIGHT, WIDTH = 12, 64, 80
SEEDS = (0, 4, 5)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds")
    for seed in SEEDS:
        write_world(folder / f"world_{seed}", seed, FRAMES, WIDTH, HEIGHT)
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_views_agree_with_each_other(written: Path, seed: int) -> None:
    """Frame A reprojected into B: 97% of the pixels that both see have the colour of one of the four around there."""
    folder = written / f"world_{seed}"
    poses = np.stack([np.loadtxt(folder / "pose" / f"{k}.txt") for k in range(FRAMES)])
    matrix = np.loadtxt(folder / "intrinsic" / "intrinsic_depth.txt")[:3, :3]
    color = [cv2.imread(str(folder / "color" / f"{k}.jpg")) / 255.0 for k in range(FRAMES)]
    depth = [cv2.imread(str(folder / "depth" / f"{k}.png"), -1) / 1000.0 for k in range(FRAMES)]
    agreed = total = 0
    for a, b in ((0, 1), (3, 4), (6, 5), (11, 10)):
        seen, at = covisible(depth[a], poses[a], depth[b], poses[b], matrix)
        kernel = np.ones((3, 3))
        low, high = cv2.erode(color[b], kernel)[at], cv2.dilate(color[b], kernel)[at]
        mine = color[a].reshape(-1, 3)
        agreed += (seen & ((mine >= low - 0.05) & (mine <= high + 0.05)).all(1)).sum()
        total += seen.sum()
    assert total > 4 * 0.4 * WIDTH * HEIGHT
    assert agreed / total >= 0.97


def test_nothing_has_a_class_and_many_things_are_in_view(written: Path) -> None:
    for seed in SEEDS:
        folder = written / f"world_{seed}"
        assert not any(cv2.imread(str(path), -1).any() for path in (folder / "label-filt").iterdir())
        things = {id_ for path in (folder / "instance-filt").iterdir() for id_ in np.unique(cv2.imread(str(path), -1))}
        assert len(things) >= 6


def test_lenses_and_palettes_differ_and_a_seed_is_one_world(written: Path, tmp_path: Path) -> None:
    focal = {seed: np.loadtxt(written / f"world_{seed}/intrinsic/intrinsic_color.txt")[0, 0] for seed in SEEDS}
    assert len(set(focal.values())) == len(SEEDS)
    write_world(tmp_path / "again", 4, FRAMES, WIDTH, HEIGHT)
    for path in sorted((tmp_path / "again").rglob("*.*")):
        assert path.read_bytes() == (written / "world_4" / path.relative_to(tmp_path / "again")).read_bytes()
    mean = [cv2.imread(str(written / f"world_{seed}/color/5.jpg")).mean((0, 1)) for seed in SEEDS]
    assert np.abs(mean[0] - mean[1]).max() > 15 and np.abs(mean[1] - mean[2]).max() > 15


def test_cameras_touch_nothing(written: Path) -> None:
    for seed in SEEDS:
        for path in (written / f"world_{seed}" / "depth").iterdir():
            assert cv2.imread(str(path), -1).min() > 30  # millimetres
