"""The viewer's page: a viser server that shows renderings behind the scene's source cameras."""

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8

from gpnerf.errors import UserError
from gpnerf.structures import Cameras, ImageOutput
from gpnerf.viewer.gate import Gate, require_address
from gpnerf.viewer.look import Look, look_of
from gpnerf.viewer.refinement import Refinement
from gpnerf.viewer.worker import Render, Worker

_REST = 0.25  # seconds without a move before refining starts
_FRUSTUM = 0.06  # metres
_LINE, _LINE_COLOUR = 1.5, (255, 170, 0)  # pixels
_QUALITY = 90  # of JPEG

# What there is to show of a rendering, by the name on its button.
Shows = Mapping[str, Callable[[ImageOutput], UInt8[np.ndarray, "height width 3"]]]


def require_library() -> None:
    """Raise `UserError` where the package viser is not installed."""
    if importlib.util.find_spec("viser") is None:
        raise UserError("the viewer's page is served by the package viser, found none; pip install viser")


@dataclass
class _Visit:
    """One visitor's page: what it shows, and the newest rendering."""

    client: Any
    shows: Shows
    shown: str
    output: ImageOutput | None = None

    def show(self, output: ImageOutput) -> None:
        self.output = output
        self.paint()

    def choose(self, name: str) -> None:
        if name in self.shows:  # a visitor may ask for anything
            self.shown = name
            self.paint()

    def paint(self) -> None:
        if self.output is None:
            return
        picture = self.shows[self.shown](self.output)
        # With depth, the frusta behind a surface are hidden by it.
        self.client.scene.set_background_image(
            picture, format="jpeg", jpeg_quality=_QUALITY, depth=self.output.depth.numpy()
        )


class ViewServer:
    """Serves a page on which every visitor flies through the scene.

    Args:
        render: renders a look at a level, 0 the coarsest of `levels`; one picture at a time.
        shows: what a visitor can choose to see, the first one at the start.
        sources: the scene's cameras, shown as frusta; a click on one looks from there. Visits start at the first.
        numbers: the sources' frame numbers.
        host, port: where to listen; viser takes the next free port.
    """

    def __init__(
        self, render: Render, levels: int, shows: Shows, sources: Cameras, numbers: Sequence[int], host: str, port: int
    ) -> None:
        import viser  # here: of an extra, which nothing else needs

        self._render, self._levels, self._shows = render, levels, shows
        self._busy = threading.Lock()
        self._looks = [look_of(sources, place) for place in range(len(numbers))]
        self._workers: dict[int, Worker] = {}
        require_address(host, port)
        with Gate(host).kept():
            self.server = viser.ViserServer(host=host, port=port, label="GP-NeRF", verbose=False)
        self.server.scene.set_up_direction("+z")
        self._add_frusta(numbers)
        self.server.on_client_connect(self._welcome)
        self.server.on_client_disconnect(self._part)

    @property
    def url(self) -> str:
        """Where to point the browser."""
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def serve(self) -> None:
        """Serve until the program is stopped."""
        self.server.sleep_forever()

    def stop(self) -> None:
        """End all visits and the server."""
        for worker in list(self._workers.values()):
            worker.stop()
        self.server.stop()

    def _add_frusta(self, numbers: Sequence[int]) -> None:
        shown = self.server.gui.add_checkbox("source cameras", initial_value=True)
        frusta = []
        for number, look in zip(numbers, self._looks, strict=True):
            frustum = self.server.scene.add_camera_frustum(
                f"/sources/{number}",
                fov=look.angle,
                aspect=look.aspect,
                scale=_FRUSTUM,
                thickness=_LINE,
                thickness_units="screen",
                color=_LINE_COLOUR,
                wxyz=look.quaternion,
                position=look.cam_to_world[:3, 3],
            )
            frustum.on_click(partial(_stand_at, look))
            frusta.append(frustum)

        @shown.on_update
        def _(_: Any) -> None:
            for frustum in frusta:
                frustum.visible = shown.value

    def _welcome(self, client: Any) -> None:
        visit = _Visit(client, self._shows, next(iter(self._shows)))
        worker = Worker(Refinement(self._levels, _REST), self._one_at_a_time, visit.show)
        self._workers[client.client_id] = worker
        buttons = client.gui.add_button_group("show", tuple(self._shows))
        buttons.on_click(lambda _: visit.choose(buttons.value))
        client.camera.on_update(
            lambda camera: worker.look(Look.of(camera.wxyz, camera.position, camera.fov, camera.aspect))
        )
        _stand(client, self._looks[0])

    def _part(self, client: Any) -> None:
        if worker := self._workers.pop(client.client_id, None):
            worker.stop()

    def _one_at_a_time(self, look: Look, level: int, cancelled: Callable[[], bool]) -> ImageOutput:
        with self._busy:
            return self._render(look, level, cancelled)


def _stand_at(look: Look, click: Any) -> None:
    _stand(click.client, look)


def _stand(client: Any, look: Look) -> None:
    """Put a visitor's camera where another one stands, in one move."""
    with client.atomic():
        client.camera.wxyz = look.quaternion
        client.camera.position = look.cam_to_world[:3, 3]
        client.camera.fov = look.angle
