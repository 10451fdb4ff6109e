"""Every script on every layout with every task: it does its work, or says in one line why it cannot."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from matrix_data import FRAMES, LAYOUTS, TARGET, flags_of, write_layouts
from scripts_here import InThisProcess, run_here, script
from tiny_runs import HEIGHT, WIDTH

from gpnerf.assembly.data import data_source
from gpnerf.config import parse
from gpnerf.data.scene import Scene
from gpnerf.errors import UserError
from gpnerf.viewer.server import ViewServer

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

TASKS = ("semantic", "instance", "panoptic")
NO_CLASSES = "instance_replica has no class labels; take --task instance"
SCORES = {"semantic": {"miou"}, "instance": {"ap50"}, "panoptic": {"miou", "ap50", "pq"}}
PARTS = {"semantic": {"semantic"}, "instance": {"instance"}, "panoptic": {"semantic", "instance", "panoptic"}}


def refused(words: str, name: str, *arguments: object) -> None:
    with pytest.raises(UserError, match=words) as caught:
        run_here(name, *arguments)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_setting: None) -> Path:
    """All layouts, with weights of classes trained on two of them."""
    folder = tmp_path_factory.mktemp("matrix")
    write_layouts(folder)
    for name in {layout.start for layout in LAYOUTS.values()}:
        run_here("train_gpnerf.py", *flags_of(folder, name, "semantic", "--expname", f"start_{name}"))
    return folder


def weights(root: Path, name: str) -> tuple[str, Path]:
    return "--ckpt_path", root / f"out/start_{LAYOUTS[name].start}/model_000001.pth"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_scripts_that_score_and_show(root: Path, name: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, start, scene = flags_of(root, name, task), weights(root, name), LAYOUTS[name].scene
    if name == "replica_dm" and task != "instance":
        for each in ("train_gpnerf.py", "ft_gpnerf.py", "eval_gpnerf.py", "scripts/pack_scenes.py"):
            refused(NO_CLASSES, each, *own, *start)
        for each in ("render_video", "export_geometry", "view"):
            refused(NO_CLASSES, f"scripts/{each}.py", "--scene", scene, *own, *start)
        return
    run_here("ft_gpnerf.py", *own, *start)
    given = [*own, *start] if task == "semantic" else own  # instances have weights of their scene's own
    run_here("eval_gpnerf.py", *given)
    scores = json.loads(next(root.glob(f"out/{name}_{task}/eval/*/metrics.json")).read_text())["overall"]
    assert math.isfinite(scores["psnr"]) and SCORES[task] <= {key for key in scores if scores[key] is not None}
    film(root, name, task, given)
    meshes(root, name, task, given)
    viewer(scene, len(PARTS[task]), given, monkeypatch)


@pytest.mark.parametrize("name", LAYOUTS)
def test_scripts_that_train_and_look_at_data(root: Path, name: str) -> None:
    layout = LAYOUTS[name]
    for task in ("instance", "panoptic"):
        words = NO_CLASSES if (name, task) == ("replica_dm", "panoptic") else "instances are learnt scene by scene"
        refused(words, "train_gpnerf.py", *flags_of(root, name, task))
    if layout.dataset == "posed_images":
        run_here("train_gpnerf.py", *flags_of(root, name, "semantic", "--expname", f"trained_{name}"))
        assert (root / f"out/trained_{name}/model_000001.pth").is_file()
    run_here("scripts/check_data.py", layout.folder(root), "--out", root / f"checked_{name}", "--pairs", 2)
    assert "# Check of 1 scenes: 0 with mistakes" in (root / f"checked_{name}/report.md").read_text()


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_loader_is_measured(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = flags_of(root, name, "instance" if name == "replica_dm" else "semantic")
    for constant, value in (("_LOADER_SECONDS", 0.0), ("_LOADER_WARM_UP", 1)):
        monkeypatch.setattr(script("scripts/benchmark.py"), constant, value)
    measured = ["--parts", "loader", "--output", root / "loader.json", "--size", WIDTH, HEIGHT, *flags]
    if LAYOUTS[name].dataset == "posed_images":
        refused("no near and far of its own; --depth_range", "scripts/benchmark.py", *measured)
        measured += ["--depth_range", 0.3, 5]
    if name == "replica_dm":
        refused("expected label files in the training scenes", "scripts/benchmark.py", *measured)
        measured += ["--semantic_loss_scale", 0, "--distill_loss_scale", 0]
    run_here("scripts/benchmark.py", *measured)
    rates = json.loads((root / "loader.json").read_text())["loader"]
    assert len(rates) == 2 and min(rates.values()) > 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_packed_scenes_keep_the_camera_of_every_frame(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = flags_of(root, name, "instance" if name == "replica_dm" else "semantic")
    layout = LAYOUTS[name]

    def opened(run: str) -> Scene:
        return data_source(parse([*flags, "--expname", run]), layout.names[1]).open([layout.scene])[0]

    before = opened("before")
    monkeypatch.setattr(script("scripts/pack_scenes.py"), "ProcessPoolExecutor", InThisProcess)
    run_here("scripts/pack_scenes.py", *flags)
    after = opened("after")
    assert "1 scenes packed" in capsys.readouterr().out
    assert before.packed is None and after.packed is not None
    assert after.intrinsics.shape == (FRAMES, 3, 3) and np.array_equal(after.intrinsics, before.intrinsics)
    assert np.array_equal(after.cam_to_world, before.cam_to_world)
    assert all(torch.equal(after.image(k), before.image(k)) for k in range(FRAMES))
    shutil.rmtree(layout.folder(root) / "packed")


def film(root: Path, name: str, task: str, given: list[object]) -> None:
    folder = root / f"film_{name}_{task}"
    run_here("scripts/render_video.py", "--scene", LAYOUTS[name].scene, "--frames", 2, "--out", folder, *given)
    assert (folder / "video.mp4").is_file()
    assert {path.name.split("_")[0] for path in folder.glob("*_0001.png")} == {"rgb", "depth"} | PARTS[task]


def meshes(root: Path, name: str, task: str, given: list[object]) -> None:
    how = ("--scene", LAYOUTS[name].scene, "--every", 3, "--voxel", 0.3, "--smallest_piece", 1)
    for kind in ((), ("--true",)):
        folder = root / f"mesh_{name}_{task}{len(kind)}"
        run_here("scripts/export_geometry.py", *how, *kind, "--out", folder, *given)
        assert (folder / "mesh.ply").stat().st_size > 0


def viewer(scene: str, labellings: int, given: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts, shows what a source camera sees in every way there is, and stops."""
    seen: list[tuple[int, ...]] = []

    def look_once(server: ViewServer) -> None:
        output = server._render(server._looks[TARGET], 0, lambda: False)
        seen.extend(show(output).shape for show in server._shows.values())
        server.stop()

    monkeypatch.setattr(ViewServer, "serve", look_once)
    run_here("scripts/view.py", "--scene", scene, *given)
    assert len(seen) == 2 + labellings and len(set(seen)) == 1
