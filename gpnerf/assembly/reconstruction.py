"""Exported geometry from a config."""

import logging
from dataclasses import dataclass
from pathlib import Path

from gpnerf.assembly.free_views import build_free_views, open_scene
from gpnerf.assembly.run_folder import run_folder
from gpnerf.config import Config
from gpnerf.data.instances import NO_INSTANCE
from gpnerf.data.scene import Scene
from gpnerf.errors import UserError
from gpnerf.fusion.files import Legend, require_libraries, write_geometry
from gpnerf.fusion.observation import Observations
from gpnerf.fusion.reconstruction import FusionSettings, reconstruct
from gpnerf.fusion.rendered_views import RenderedViews
from gpnerf.fusion.true_views import TrueViews
from gpnerf.ownership import owned
from gpnerf.storage import digest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeometryRequest:
    """What to fuse: true or rendered views of every n-th frame of a scene; without `out` the run's folder gets it."""

    scene: str
    true: bool
    every: int
    settings: FusionSettings
    out: Path | None = None


def export_geometry(config: Config, request: GeometryRequest) -> list[Path]:
    """Fuse the views of a scene and write mesh, points and legend. Returns their paths."""
    require_libraries()
    home = request.out or run_folder(config) / "geometry" / request.scene / ("true" if request.true else "rendered")
    with owned(home):
        return _export(config, request, home)


def _export(config: Config, request: GeometryRequest, home: Path) -> list[Path]:
    views, legend = _true(config, request) if request.true else _rendered(config, request, home)
    surface, looks = reconstruct(views, request.settings)
    _log.info("%d vertices, %d triangles", len(surface.vertices), len(surface.faces))
    return write_geometry(home, surface, looks, legend)


def _true(config: Config, request: GeometryRequest) -> tuple[Observations, Legend]:
    source, scene = open_scene(config, request.scene)
    if scene.files.depth is None:
        raise UserError(f"{scene.name}: expected depth files, found none; leave --true out to fuse rendered depth")
    frames = _frames(scene, request.every)
    if scene.files.instances is not None:
        scene = scene.with_instances(frames, NO_INSTANCE[source.protocol.dataset])
    return TrueViews(scene, frames), Legend(source.class_names, scene.instance_map.ids if scene.instance_map else ())


def _rendered(config: Config, request: GeometryRequest, home: Path) -> tuple[Observations, Legend]:
    trained = build_free_views(config, request.scene)
    scene, source = trained.scene, trained.source
    # Views of other weights or settings are other views: they have a folder of their own. Views of a scene whose files
    # have changed since are of no use to anybody: they are replaced.
    folder = home / f"views_{digest(trained.description)[:8]}"
    made_of = digest([trained.description, trained.data])
    views = RenderedViews(
        trained.views, source.protocol, _frames(scene, request.every), folder, made_of, trained.objects
    )
    views.render_missing()
    return views, Legend(source.class_names, scene.instance_map.ids if scene.instance_map else ())


def _frames(scene: Scene, every: int) -> list[int]:
    return list(range(len(scene)))[::every]
