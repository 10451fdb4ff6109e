"""Exported geometry of tiny rooms: from the command line to the files, what is kept, and what is refused."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_runs import EVALUATION_SCENES, HEIGHT, REPOSITORY, WIDTH, flags

from gpnerf.assembly import build_finetuning
from gpnerf.assembly.free_views import build_free_views, open_scene
from gpnerf.assembly.reconstruction import GeometryRequest, export_geometry
from gpnerf.config import parse
from gpnerf.data.view_selection import nearest_to_pose
from gpnerf.errors import UserError
from gpnerf.free_views import FreeViews
from gpnerf.fusion.reconstruction import FusionSettings
from gpnerf.fusion.rendered_views import RenderedViews
from gpnerf.fusion.true_views import TrueViews

for package in ("skimage", "trimesh"):
    pytest.importorskip(package, reason=f"{package} is not installed")
pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

SCENE = EVALUATION_SCENES[0]
FRAMES = 14  # of that scene


def change_matrix(path: Path) -> None:
    matrix = np.loadtxt(path)
    matrix[0, -2 if "intrinsic" in path.name else 3] += 0.7
    np.savetxt(path, matrix)


# What happens to a scene's folder.
CHANGES: dict[str, Callable[[Path], Any]] = {
    "intrinsics": lambda scene: change_matrix(scene / "intrinsic/intrinsic_color.txt"),
    "pose of a source": lambda scene: change_matrix(scene / "pose/1.txt"),
    "picture": lambda scene: iio.imwrite(scene / "color/1.png", iio.imread(scene / "color/1.png")[::-1]),
    "touched picture": lambda scene: (scene / "color/1.png").touch(),
}


def export(root: Path, *more: object, true: bool = False, voxel: float = 0.15, **changes: Any) -> Path:
    settings = FusionSettings(voxel, 3.0, 1, changes.pop("memory_budget", 1.0))
    return export_geometry(parse(flags(root, *more)), GeometryRequest(SCENE, true, 4, settings, **changes))[0].parent


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The sources of what is rendered from now on."""
    seen: list[tuple[int, ...]] = []
    render: Callable[..., Any] = FreeViews.render_from

    def noting(self: FreeViews, sources: list[int], *args: Any, **named: Any) -> Any:
        seen.append(tuple(sources))
        return render(self, sources, *args, **named)

    monkeypatch.setattr(FreeViews, "render_from", noting)
    return seen


def test_frames_are_rendered_from_others_and_once_only(root: Path, rendered: list[tuple[int, ...]]) -> None:
    folder = export(root)
    assert folder == root / f"out/gpnerf/geometry/{SCENE}/rendered"
    frames = list(range(0, FRAMES, 4))
    assert len(rendered) == len(frames) and all(f not in s for f, s in zip(frames, rendered, strict=True))
    before = (folder / "mesh.ply").read_bytes()
    export(root, voxel=0.2)
    assert len(rendered) == len(frames) and (folder / "mesh.ply").read_bytes() != before
    export(root)
    assert len(rendered) == len(frames) and (folder / "mesh.ply").read_bytes() == before
    views = sorted(folder.glob("views_*/*.npz"))
    views[0].unlink()
    export(root)
    assert len(rendered) == len(frames) + 1
    export(root, "--ckpt_path", root / "out/gpnerf/model_000003.pth")  # other weights, other views
    assert len(rendered) == 2 * len(frames) + 1
    whole = views[0].read_bytes()
    damaged = [b"half a file", whole[:-9], whole[:200] + bytes(200) + whole[400:]]
    for count, content in enumerate(damaged, start=2):
        views[0].write_bytes(content)
        export(root)
        assert len(rendered) == 2 * len(frames) + count


@pytest.mark.parametrize("change", list(CHANGES))
def test_views_of_files_that_have_changed_are_rendered_again(
    root: Path, rendered: list[tuple[int, ...]], change: str
) -> None:
    folder = export(root)
    old = {path: np.load(path)["rgb"] for path in folder.glob("views_*/*.npz")}
    CHANGES[change](root / "data/rooms" / SCENE)
    rendered.clear()
    export(root)
    assert len(rendered) == len(old) == len(list(folder.glob("views_*/*.npz")))  # the old ones are gone
    different = [bool((np.load(path)["rgb"] != rgb).any()) for path, rgb in old.items()]
    assert all(different) if change == "intrinsics" else change != "touched picture" or not any(different)
    export(root)
    assert len(rendered) == len(old)


@pytest.mark.parametrize("stride", [1, 2])
def test_kept_views_are_what_the_model_renders(root: Path, tmp_path: Path, stride: int) -> None:
    trained = build_free_views(parse(flags(root, "--render_stride", stride)), SCENE)
    protocol = trained.source.protocol
    views = RenderedViews(trained.views, protocol, [6], tmp_path, "all")
    views.render_missing()
    (view,) = views
    allowed = protocol.allowed_sources(trained.scene, 6, [])
    distances = np.where(allowed, protocol.distances(trained.scene, 6), np.inf)
    sources = np.argsort(distances)[: protocol.num_source_views].tolist()
    output = trained.views.render_from(sources, trained.scene.camera(6), stride=stride)
    assert torch.allclose(view.image, output.rgb.clamp(0, 1), atol=0.51 / 255) and torch.equal(view.depth, output.depth)
    assert view.classes is not None and output.logits is not None and view.instances is None
    expected = output.logits[:-1].softmax(0)[:, ::stride, ::stride]
    assert torch.allclose(view.classes, expected, atol=0.51 / 255)
    # The pixel (column 3, row 2) of the kept view is (3, 2) times the stride of the full one.
    rays = [np.linalg.inv(c.intrinsics.numpy()) @ [3 * s, 2 * s, 1] for c, s in
            ((view.camera, 1), (trained.scene.camera(6), stride))]  # fmt: skip
    assert np.allclose(*rays, atol=5e-5)
    assert (view.camera.height, view.camera.width) == (HEIGHT // stride, WIDTH // stride)


def test_true_views_are_the_scenes_own(root: Path) -> None:
    folder = export(root, true=True)
    assert folder.name == "true" and (folder / "mesh_instances.glb").is_file() and not list(folder.glob("views_*"))
    _, scene = open_scene(parse(flags(root)), SCENE)
    scene = scene.with_instances([0, 5], 0)
    for frame, view in zip([0, 5], TrueViews(scene, [0, 5]), strict=True):
        assert view.classes is not None and view.instances is not None and scene.instance_map is not None
        labels, channels = scene.labels(frame), scene.channels(frame)
        assert torch.equal(view.classes.sum(0), (labels < len(view.classes)).float())  # ignore: no votes
        known = view.classes.sum(0) > 0
        assert torch.equal(view.classes.argmax(0)[known], labels[known])
        assert torch.equal(view.instances.sum(0), (channels >= 0).float())


def test_instances_come_from_their_own_head(root: Path) -> None:
    (root / "one.txt").write_text(SCENE)
    start = ("--task", "instance", "--expname", "ft", "--ckpt_path", root / "out/gpnerf/model_000006.pth")
    build_finetuning(parse(flags(root, *start, "--val_set_list", root / "one.txt"))).run()
    trained = build_free_views(parse(flags(root, "--task", "instance", "--expname", "ft")), SCENE)
    views = RenderedViews(trained.views, trained.source.protocol, [6], root / "views", "all", trained.objects)
    views.render_missing()
    (view,) = views
    assert view.classes is None and view.instances is not None and trained.objects is not None
    allowed = trained.source.protocol.allowed_sources(trained.scene, 6, [])
    sources = [f for f in nearest_to_pose(trained.scene.cam_to_world, trained.scene.cam_to_world[6], FRAMES).tolist()
               if allowed[f]][: trained.source.protocol.num_source_views]  # fmt: skip
    output = trained.views.render_from(sources, trained.scene.camera(6), stride=2)
    assert output.instance_logits is not None
    likeliest = trained.objects.likeliest(output.instance_logits)[::2, ::2]
    none = 1 - view.instances.sum(0)
    found = torch.where(view.instances.amax(0) >= none, view.instances.argmax(0), -1)
    assert (found == likeliest).float().mean() > 0.9  # but for what rounding to 8 bits decides
    assert (export(root, "--task", "instance", "--expname", "ft") / "mesh.ply").is_file()


def test_what_cannot_be_fused_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"--voxel 0.001: expected a volume of at most 0.01 GB"):
        export(root, true=True, voxel=0.001, memory_budget=0.01)
    for path in (root / f"data/rooms/{SCENE}/depth").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=rf"{SCENE}: expected depth files, found none; leave --true out"):
        export(root, true=True)


def test_the_script_takes_flags_of_its_own_and_of_the_programs(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = ["--scene", SCENE, "--true", "--every", "5", "--voxel", "0.2", "--smallest_piece", "1"]
    monkeypatch.setattr(sys, "argv", ["export_geometry.py", *words, "--out", str(root / "mine"), *flags(root)])
    runpy.run_path(str(REPOSITORY / "scripts/export_geometry.py"), run_name="__main__")
    assert f"{root / 'mine/mesh.ply'}: " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["export_geometry.py", "--scene", SCENE, "--voxel", "0", *flags(root)])
    with pytest.raises(SystemExit):
        runpy.run_path(str(REPOSITORY / "scripts/export_geometry.py"), run_name="__main__")
    assert "--voxel, --truncation, --every: expected" in capsys.readouterr().err
