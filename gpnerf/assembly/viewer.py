"""The viewer from a config."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import UInt8

from gpnerf.assembly.free_views import build_free_views
from gpnerf.assembly.video import labellings
from gpnerf.config import Config
from gpnerf.free_views import FreeViews
from gpnerf.structures import ImageOutput
from gpnerf.video.labellings import Labelling
from gpnerf.viewer.look import Look
from gpnerf.viewer.server import Shows, ViewServer, require_library
from gpnerf.viewer.worker import InterruptibleChunking
from gpnerf.visualize.colouring import class_palette, colour_picture, depth_picture, label_picture

_COARSER = (4, 2, 1)  # sides of the pictures of each level, as shares of the finest
_RAYS = 1024  # rendered between two looks at whether the camera has moved, where --chunk_size does not say


def build_viewer(config: Config, scene: str, height: int | None, host: str, port: int) -> ViewServer:
    """A viewer of a scene with the weights of `ckpt_path`, or of the run folder's newest checkpoint; pictures get as
    many rows as `height` says, or as the protocol's."""
    require_library()
    trained = build_free_views(config, scene)
    rows = height or trained.source.protocol.height
    heights = [rows // coarser for coarser in _COARSER]
    shows: Shows = {
        "colour": lambda output: colour_picture(output.rgb),
        "depth": partial(_depth, trained.views.depth_range),
        **{labelling.title: partial(_labels, labelling) for labelling in labellings(config, trained)},
    }
    render = partial(_render, trained.views, heights, config.render.chunk_size or _RAYS)
    sources = trained.scene.cameras(list(range(len(trained.scene))))
    return ViewServer(render, len(heights), shows, sources, trained.scene.numbers.tolist(), host, port)


def _render(
    views: FreeViews, heights: list[int], rays: int, look: Look, level: int, cancelled: Callable[[], bool]
) -> ImageOutput:
    return views.render(look.camera(heights[level]), chunking=InterruptibleChunking(rays, cancelled))


def _depth(near_far: tuple[float, float], output: ImageOutput) -> UInt8[np.ndarray, "height width 3"]:
    return depth_picture(output.depth, *near_far)


def _labels(labelling: Labelling, output: ImageOutput) -> UInt8[np.ndarray, "height width 3"]:
    return label_picture(labelling.predict(output), class_palette(len(labelling.names)))
