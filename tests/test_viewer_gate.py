"""The viewer's server takes its own pages only, few of them, and survives whatever they send."""

import asyncio
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_viewer import LEVELS, SECONDS, Renderer
from tiny_model import cameras

from gpnerf.errors import UserError
from gpnerf.viewer import gate
from gpnerf.viewer.gate import Gate, require_address
from gpnerf.viewer.look import Look
from gpnerf.viewer.messages import is_welcome
from gpnerf.viewer.server import ViewServer
from gpnerf.visualize.colouring import colour_picture

viser = pytest.importorskip("viser", reason="viser is not installed")
msgspec = pytest.importorskip("msgspec")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

CAMERA: dict[str, Any] = {
    "type": "ViewerCameraMessage", "wxyz": [1.0, 0.0, 0.0, 0.0], "position": [0.0, 1.0, 2.0], "fov": 1.2, "near": 0.1,
    "far": 100.0, "image_height": 480, "image_width": 640, "look_at": [0.0, 0.0, 0.0], "up_direction": [0.0, 0.0, 1.0],
}  # fmt: skip
CLICK: dict[str, Any] = {
    "type": "SceneNodeClickMessage", "name": "/sources/3", "instance_index": None, "ray_origin": [0.0, 0.0, 0.0],
    "ray_direction": [0.0, 0.0, 1.0], "screen_pos": [0.5, 0.5], "modifier": None, "owner": "",
}  # fmt: skip
NAN, INF = float("nan"), float("inf")


def packed(message: object) -> bytes:
    return msgspec.msgpack.encode(message)


UNWELCOME = [
    *({**CAMERA, name: value} for name in ("wxyz", "position", "look_at") for value in ([NAN] * 4, "x", None, 7, [])),
    *({**CAMERA, "position": [value, 0.0, 0.0]} for value in (NAN, INF, -1e300, "1", None, [1.0], 10**18)),
    *({**CAMERA, "fov": value} for value in (0, -1.0, 4.0, NAN, INF, None, "1")),
    *({**CAMERA, name: value} for name in ("image_height", "image_width") for value in (0, -3, 10**9, NAN, None)),
    {**CAMERA, "wxyz": [0.0, 0.0, 0.0, 0.0]},
    {**CAMERA, "more": 1},
    {name: value for name, value in CAMERA.items() if name != "fov"},
    {"type": "ShareUrlRequest"},  # would open a public tunnel to this machine
    {"type": "GuiUpdateMessage", "uuid": "a", "updates": {"update_cb": []}},
    {"type": "GuiUpdateMessage", "uuid": "a", "updates": {"value": "depth", "removed": True}},
    {"type": "GuiUpdateMessage", "uuid": [1], "updates": {"value": True}},
    {"type": "GuiUpdateMessage", "uuid": "a", "updates": {"value": {"a": 1}}},
    {"type": "GuiUpdateMessage", "uuid": "a", "updates": [1]},
    {**CLICK, "name": ["/sources/3"]},
    {**CLICK, "name": "x" * 10_000},
    {"type": "Nothing"}, {"type": 3}, {}, [], [CAMERA], None, 3, "text",
]  # fmt: skip


@pytest.mark.parametrize("message", UNWELCOME)
def test_a_message_that_no_page_sends_is_passed_over(message: object) -> None:
    assert not is_welcome(packed(message))


def test_what_the_page_sends_is_let_through() -> None:
    button = {"type": "GuiUpdateMessage", "uuid": "a", "updates": {"value": "depth"}}
    assert all(is_welcome(packed(message)) for message in (CAMERA, CLICK, button))


@given(st.binary(max_size=300) | st.integers(0, len(packed(CAMERA)) - 1).map(lambda n: packed(CAMERA)[:n]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_may_come(raw: bytes) -> None:
    assert not is_welcome(raw)
    assert not is_welcome(raw.decode("latin-1"))


@pytest.mark.parametrize(
    ("origin", "host", "admitted"),
    [
        (None, "localhost:8080", True),  # no browser
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:9000", "localhost:9000", True),  # through ssh -L 9000:localhost:8080
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://192.168.0.7:8080", "192.168.0.7:8080", True),
        (f"http://{socket.gethostname().lower()}:8080", f"{socket.gethostname().lower()}:8080", True),
        ("https://box.lab:8080", "box.lab:8080", True),  # --host
        ("http://evil.example", "localhost:8080", False),
        ("http://evil.example:8080", "evil.example:8080", False),  # a name that was made to lead here
        ("http://localhost:3000", "localhost:8080", False),  # another program's page on this machine
        ("http://localhost.evil.example:8080", "localhost:8080", False),
        ("http://localhost:8080@evil.example", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("", "", False),
        ("http://[", "localhost:8080", False),
        ("http://localhost:8080", None, False),
    ],
)
def test_only_pages_of_this_server_are_admitted(origin: str | None, host: str | None, admitted: bool) -> None:
    assert Gate("box.lab").admits(origin, host) == admitted


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[ViewServer, Renderer]]:
    render = Renderer()
    shows: dict[str, Any] = {"colour": lambda seen: colour_picture(seen.rgb)}
    viewer = ViewServer(render, LEVELS, shows, cameras(4, 48, 60), [0, 3, 6, 9], "127.0.0.1", 8965)
    yield viewer, render
    viewer.stop()


def visit(viewer: ViewServer, origin: str | None = None) -> ClientConnection:
    address, protocol = viewer.url.replace("http", "ws"), f"viser-v{viser.__version__}"
    return connect(address, origin=origin, subprotocols=[protocol], compression=None, max_size=None)  # type: ignore


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
def test_a_foreign_page_is_refused(page: tuple[ViewServer, Renderer], origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        visit(page[0], origin)
    assert refused.value.response.status_code == 403


def test_no_message_ends_the_server_or_another_visit(
    page: tuple[ViewServer, Renderer], capfd: pytest.CaptureFixture
) -> None:
    viewer, render = page
    with visit(viewer, viewer.url) as own:
        with visit(viewer) as hostile:
            for message in UNWELCOME:
                hostile.send(packed(message))
            for raw in (b"", b"\xc1", b"\x00" * 1000, b"\x91" * 5000, "text"):
                hostile.send(raw)
        with visit(viewer) as hostile:
            hostile.send(b"\0" * (2**16 + 1))
            with pytest.raises(ConnectionClosed):
                _hear_out(hostile)
        deadline = time.monotonic() + SECONDS
        while render.started.empty() and time.monotonic() < deadline:  # the first one is a greeting
            own.send(packed(CAMERA))
            time.sleep(0.05)
        look, level = render.started.get(timeout=SECONDS)
        assert level == 0 and np.isfinite(look.cam_to_world).all()
        own.send(packed(CLICK))
    assert "Traceback" not in "".join(capfd.readouterr())


def _hear_out(visitor: ClientConnection) -> None:
    while True:
        visitor.recv(timeout=SECONDS)


def test_there_is_room_for_few_visitors(page: tuple[ViewServer, Renderer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_VISITORS", 2)
    first, second = visit(page[0]), visit(page[0])
    with pytest.raises(InvalidStatus) as refused:
        visit(page[0])
    assert refused.value.response.status_code == 503
    first.close()
    deadline = time.monotonic() + SECONDS
    while True:  # until the server has noticed
        try:
            visit(page[0]).close()
            break
        except InvalidStatus:
            assert time.monotonic() < deadline
    second.close()


def test_a_flood_of_messages_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def receive() -> bytes:
        return packed(CAMERA)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def flood() -> None:
        recv = gate._slow_and_plain(receive)
        monkeypatch.setattr(gate.asyncio, "sleep", sleep)
        for _ in range(gate._BURST + 100):
            await recv()

    asyncio.run(flood())
    # The last of them may go on when the hundred before it have had their time.
    assert 50 < len(slept) <= 101
    assert 50 / gate._RATE < max(slept) <= 101 / gate._RATE


@pytest.mark.parametrize(
    ("host", "port"), [("localhost", 70_000), ("localhost", -1), ("no.such.name.invalid", 8080), ("203.0.113.7", 8080)]
)
def test_where_no_server_can_listen(host: str, port: int) -> None:
    with pytest.raises(UserError, match="expected"):
        require_address(host, port)


def test_a_viser_that_listens_otherwise_is_refused() -> None:
    with pytest.raises(UserError, match="viser: expected a version"), Gate("localhost").kept():
        pass


@pytest.mark.parametrize(
    "change",
    [
        *(lambda q, p, number=number: (q * number, p, 1.0, 1.5) for number in (NAN, INF, 0.0)),
        lambda q, p: (q, p * NAN, 1.0, 1.5),
        lambda q, p: (q, p, NAN, 1.5),
        lambda q, p: (q, p, 1.0, -1.0),
    ],
)
def test_numbers_that_are_no_camera_are_refused(change: Callable[..., tuple]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        Look.of(*change(np.array([1.0, 0, 0, 0]), np.zeros(3)))


@given(st.floats(1e-6, math.pi), st.floats(1e-6, 1e6), st.integers(32, 600))
@settings(max_examples=50, deadline=None)
def test_no_window_asks_for_a_huge_picture(angle: float, aspect: float, height: int) -> None:
    camera = Look.of(np.array([1.0, 0, 0, 0]), np.zeros(3), angle, aspect).camera(height)
    assert min(camera.height, camera.width) >= 32 and max(camera.height, camera.width) <= 4 * max(height, 128)
    assert camera.intrinsics.isfinite().all()
