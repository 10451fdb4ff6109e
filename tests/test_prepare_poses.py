"""Whatever the text files of poses and intrinsics hold, they are read or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_scenes import write_replica, write_scannet

from gpnerf.data.replica import replica_scene
from gpnerf.data.scannet import scannet_scene
from gpnerf.data.scene import FrameCache, Scene
from gpnerf.errors import UserError

WORDS = ["1", "-0.5", "1e-9", "1e400", "nan", "-inf", "1_0", "0x1p3", "1,5", "٣", "", "9" * 400, "\0", "\ufeff1", "--1"]
SEPARATORS = [" ", "\n", "\t", "\r\n", "\x0b", "\u2028", "  "]


@st.composite
def pose_text(draw: st.DrawFn) -> bytes:
    """About 16 words, most of them numbers."""
    count = draw(st.sampled_from([0, 1, 15, 16, 16, 16, 17, 64]))
    numbers = st.floats(allow_nan=False, width=32).map(repr)
    words = draw(st.lists(st.one_of(numbers, st.sampled_from(WORDS)), min_size=count, max_size=count))
    return draw(st.sampled_from(SEPARATORS)).join(words).encode("utf-8")


CONTENTS = st.one_of(pose_text(), st.binary(max_size=300), st.text(max_size=200).map(str.encode))


def opened_scannet(folder: Path) -> Scene:
    return scannet_scene(folder, name="scene", height=6, width=8, label_map=None, cache=FrameCache(0))


def opened_replica(folder: Path) -> Scene:
    return replica_scene(folder, name="scene", height=6, width=8, label_map=None, cache=FrameCache(0))


@pytest.fixture(scope="module")
def scannet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scannet(tmp_path_factory.mktemp("scannet") / "scene", frames=3, labels=False, depth=False)


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_replica(tmp_path_factory.mktemp("replica") / "Sequence_1", frames=3)


def refused(message: str, path: Path) -> None:
    assert str(path) in message and "\n" not in message and len(message) < 1000


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENTS, name=st.sampled_from(["pose/1.txt", "intrinsic/intrinsic_color.txt"]))
def test_scannet_matrices(scannet: Path, content: bytes, name: str) -> None:
    whole = (scannet / name).read_bytes()
    (scannet / name).write_bytes(content)
    try:
        scene = opened_scannet(scannet)
        assert np.isfinite(scene.cam_to_world).all() and np.isfinite(scene.intrinsics).all()
        assert len(scene) in (2, 3)
    except UserError as error:
        refused(str(error), scannet / name)
    finally:
        (scannet / name).write_bytes(whole)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(CONTENTS, max_size=4))
def test_replica_trajectories(replica: Path, contents: list[bytes]) -> None:
    (replica / "traj_w_c.txt").write_bytes(b"\n".join(content.replace(b"\n", b" ") for content in contents))
    try:
        assert np.isfinite(opened_replica(replica).cam_to_world).all()
    except UserError as error:
        refused(str(error), replica / "traj_w_c.txt")
