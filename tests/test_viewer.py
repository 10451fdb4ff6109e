"""The viewer's cameras, its rendering thread, and the page that it serves."""

import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny_model import cameras, example, model

from gpnerf.errors import UserError
from gpnerf.rendering import render_view
from gpnerf.structures import ImageOutput
from gpnerf.viewer import server
from gpnerf.viewer.look import Look, look_of
from gpnerf.viewer.refinement import Refinement
from gpnerf.viewer.server import ViewServer
from gpnerf.viewer.worker import Cancelled, InterruptibleChunking, Worker
from gpnerf.visualize.colouring import colour_picture

LEVELS, REST = 3, 0.05
SECONDS = 20.0  # that a thread may take on a busy machine


@given(st.integers(0, 1000), st.floats(0.3, 2.0), st.floats(0.5, 2.0), st.integers(8, 300))
@settings(max_examples=40, deadline=None)
def test_a_picture_spans_the_angle_of_view(seed: int, angle: float, aspect: float, height: int) -> None:
    rng = np.random.default_rng(seed)
    rotation, place = Rotation.random(rng=rng), rng.normal(size=3)
    x, y, z, w = rotation.as_quat()
    look = Look.of(np.array([w, x, y, z]), place, angle, aspect)
    camera = look.camera(height)
    assert min(camera.height, camera.width) >= 32 and camera.height >= height
    assert camera.width == pytest.approx(aspect * camera.height, abs=0.5 + 1e-9)
    # The upper edge of the first row (-0.5) lies half the angle above the optical axis, in the middle of the columns.
    edge = np.linalg.inv(camera.intrinsics.numpy()) @ [(camera.width - 1) / 2, -0.5, 1]
    assert np.allclose(edge, [0, -np.tan(angle / 2), 1], atol=1e-4)
    forward = camera.cam_to_world[:3, :3].numpy() @ [0, 0, 1]
    assert np.allclose(forward, rotation.apply([0, 0, 1]), atol=5e-5)
    assert np.allclose(camera.cam_to_world[:3, 3], place, atol=5e-5)
    assert abs(look.quaternion @ [w, x, y, z]) == pytest.approx(1)


def test_a_source_camera_looks_as_it_does() -> None:
    sources = cameras(3, 48, 60)
    camera = look_of(sources, 2).camera(48)
    assert (camera.height, camera.width) == (48, 60)
    assert torch.allclose(camera.intrinsics, sources.intrinsics[2], atol=1e-3)
    assert torch.allclose(camera.cam_to_world.float(), sources.cam_to_world[2], atol=1e-6)


def output(level: int) -> ImageOutput:
    """A picture of one colour that tells its level."""
    size = 32 * 2**level
    return ImageOutput(torch.tensor([0.1, 0.9, 0.2 + 0.2 * level]).expand(size, size, 3).permute(2, 0, 1),
                       torch.full((size, size), 3.0))  # fmt: skip


class Renderer:
    """Notes what it renders; a fine picture, if `blocked`, goes on until it is cancelled."""

    def __init__(self, blocked: bool = False) -> None:
        self.blocked, self.started = blocked, queue.Queue[tuple[Look, int]]()
        self.cancelled = threading.Event()

    def __call__(self, look: Look, level: int, cancelled: Callable[[], bool]) -> ImageOutput:
        self.started.put((look, level))
        while self.blocked and level:
            if cancelled():
                self.cancelled.set()
                raise Cancelled
        return output(level)


def looks() -> list[Look]:
    return [look_of(cameras(3, 48, 60), place) for place in range(3)]


def test_a_resting_camera_is_shown_at_every_level() -> None:
    shown: queue.Queue[ImageOutput] = queue.Queue()
    worker = Worker(Refinement(LEVELS, REST), Renderer(), shown.put)
    worker.look(looks()[0])
    sizes = [shown.get(timeout=SECONDS).rgb.shape[1] for _ in range(LEVELS)]
    assert sizes == [32, 64, 128]
    worker.stop()


def test_a_move_ends_the_fine_picture_and_shows_the_new_place() -> None:
    shown: queue.Queue[ImageOutput] = queue.Queue()
    render, (first, second, _) = Renderer(blocked=True), looks()
    worker = Worker(Refinement(LEVELS, REST), render, shown.put)
    worker.look(first)
    assert [render.started.get(timeout=SECONDS) for _ in range(2)] == [(first, 0), (first, 1)]
    worker.look(second)
    assert render.cancelled.wait(SECONDS)
    assert render.started.get(timeout=SECONDS) == (second, 0)
    assert [shown.get(timeout=SECONDS).rgb.shape[1] for _ in range(2)] == [32, 32]
    worker.stop()


def test_an_unreadable_frame_does_not_end_the_flight(caplog: pytest.LogCaptureFixture) -> None:
    shown: queue.Queue[ImageOutput] = queue.Queue()

    def render(look: Look, level: int, cancelled: Callable[[], bool]) -> ImageOutput:
        if level == 1:
            raise UserError("7.jpg: expected a picture")
        return output(level)

    worker = Worker(Refinement(LEVELS, REST), render, shown.put)
    worker.look(looks()[0])
    assert [shown.get(timeout=SECONDS).rgb.shape[1] for _ in range(2)] == [32, 128]
    assert "7.jpg: expected a picture" in caplog.text
    worker.stop()


def test_a_rendering_stops_between_chunks_and_is_otherwise_the_same() -> None:
    network, given_example = model(), example(2)
    asked = iter([False, False, True])
    with torch.no_grad():
        maps = network.encode_sources(given_example.sources)
    view = (network, maps, given_example.target.camera, given_example.near, given_example.far)
    with pytest.raises(Cancelled):
        render_view(*view, chunking=InterruptibleChunking(100, lambda: next(asked)))
    assert next(asked, None) is None
    whole = render_view(*view, chunking=InterruptibleChunking(100, lambda: False))
    assert torch.equal(whole.rgb, render_view(*view, chunking=InterruptibleChunking(10**6, lambda: False)).rgb)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"found none; pip install viser$"):
        server.require_library()


@pytest.fixture
def page() -> Iterator[tuple[ViewServer, Renderer]]:
    pytest.importorskip("viser", reason="viser is not installed")
    render = Renderer()
    shows: dict[str, Any] = {
        "colour": lambda seen: colour_picture(seen.rgb),
        "depth": lambda seen: colour_picture(seen.rgb.flip(0)),
    }
    viewer = ViewServer(render, LEVELS, shows, cameras(4, 48, 60), [0, 3, 6, 9], "127.0.0.1", 8765)
    yield viewer, render
    viewer.stop()


@pytest.mark.slow
def test_the_page_is_served(page: tuple[ViewServer, Renderer]) -> None:
    with urllib.request.urlopen(page[0].url, timeout=SECONDS) as answer:
        assert answer.status == 200 and b"<html" in answer.read(2000)


@pytest.mark.slow
@pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_finest_picture_and_what_its_buttons_say(
    page: tuple[ViewServer, Renderer], tmp_path: Path
) -> None:
    viewer, render = page
    with chromium.opened(viewer.url, tmp_path) as browser:
        _, level = render.started.get(timeout=60)
        assert level == 0
        while level < LEVELS - 1:
            _, level = render.started.get(timeout=60)
        finest = output(LEVELS - 1).rgb[:, 0, 0]
        assert browser.wait_for(lambda png: _share(png, finest) > 0.3)
        browser.click_button("depth")
        assert browser.wait_for(lambda png: _share(png, finest.flip(0)) > 0.3)


def _share(png: bytes, colour: torch.Tensor) -> float:
    """The share of a screenshot's pixels that have about this colour."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    return float((np.abs(picture - 255 * colour.numpy()).max(axis=-1) < 12).mean())
