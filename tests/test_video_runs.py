"""Videos of tiny rooms: what they cost, that they go on where they stopped, and what they refuse."""

import runpy
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from tiny_runs import EVALUATION_SCENES, HEIGHT, REPOSITORY, WIDTH, flags

from gpnerf.assembly import build_finetuning
from gpnerf.assembly.video import VideoRequest, build_video
from gpnerf.config import parse
from gpnerf.errors import UserError
from gpnerf.free_views import FreeViews
from gpnerf.structures import Cameras, SourceViews
from gpnerf.video.film import Film
from gpnerf.video.paths import read_poses

pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, which writes mp4, is not installed")
pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

SCENE = EVALUATION_SCENES[0]


def request(**changes: Any) -> VideoRequest:
    values: dict[str, Any] = {
        "scene": SCENE, "trajectory": "orbit", "frames": 8, "keys": (), "poses": None, "out": None,
        "film": Film(10, separate=False, strip=0),
    }  # fmt: skip
    return VideoRequest(**{**values, **changes})


def video(root: Path, *more: object, **changes: Any) -> list[Path]:
    return build_video(parse(flags(root, *more)), request(**changes)).run()


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Cameras]:
    """The cameras that are rendered from now on."""
    seen: list[Cameras] = []
    render = FreeViews.render

    def noting(self: FreeViews, camera: Cameras, *args: Any, **named: Any) -> Any:
        seen.append(camera)
        return render(self, camera, *args, **named)

    monkeypatch.setattr(FreeViews, "render", noting)
    return seen


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*_*.png")}


def test_every_frame_of_the_scene_is_encoded_once_at_most(
    root: Path, rendered: list[Cameras], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_video(parse(flags(root)), request(frames=20))
    encoded: list[SourceViews] = []
    model = made.views.encodings.model
    encode = model.encode_sources
    monkeypatch.setattr(model, "encode_sources", lambda sources: encoded.append(sources) or encode(sources))
    (path,) = made.run()
    assert len(rendered) == 20 and len(encoded) <= len(made.views.scene) < 20 * 3
    assert path == root / f"out/gpnerf/video/{SCENE}/orbit/video.mp4"
    assert len(iio.imread(path, plugin="FFMPEG")) == 20
    assert len(pictures(path.parent)) == 3 * 20


def test_a_stopped_video_goes_on_and_is_the_same(
    root: Path, rendered: list[Cameras], monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = video(root, out=root / "whole")
    rendered.clear()
    made = build_video(parse(flags(root)), request(out=root / "parts"))
    render = made.views.render_from

    def breaks(*args: Any, **named: Any) -> Any:
        if len(rendered) == 4:
            raise KeyboardInterrupt
        return render(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(FreeViews, "render_from", staticmethod(breaks))
        with pytest.raises(KeyboardInterrupt):
            made.run()
    rendered.clear()
    (root / "parts/semantic_0001.png").unlink()  # as if the program had been killed within a frame
    (parts,) = video(root, out=root / "parts")
    assert len(rendered) == 1 + 5
    assert pictures(whole.parent) == pictures(parts.parent)
    video(root, out=root / "parts", film=Film(5, separate=True, strip=0))
    assert len(rendered) == 1 + 5  # another film of the same frames
    assert (root / "parts/depth.mp4").is_file()


def test_no_film_of_earlier_frames_stays_while_others_are_rendered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "stale"
    video(root, out=folder, film=Film(5, separate=True, strip=2))
    video(root, out=folder)
    (folder / "own.mp4").write_bytes(b"the user's")
    assert len(list(folder.glob("*.mp4"))) == 5 and (folder / "strip.png").is_file()
    (folder / "rgb_0002.png").unlink()

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FreeViews, "render_from", stopped)
    with pytest.raises(KeyboardInterrupt):
        video(root, out=folder)
    assert [path.name for path in folder.glob("*.mp4")] == ["own.mp4"] and not (folder / "strip.png").exists()


@pytest.mark.parametrize(
    ("more", "changes", "name"),
    [
        (("--N_samples", 5), {}, "samples"),
        (("--num_source_views", 2), {}, "num_source_views"),
        ((), {"frames": 9}, "poses_sha256"),
        ((), {"trajectory": "spiral"}, "poses_sha256"),
    ],
)
def test_a_changed_command_is_noticed(root: Path, more: tuple, changes: dict[str, Any], name: str) -> None:
    video(root, out=root / "video", frames=2)
    with pytest.raises(UserError, match=rf"frames.json: .* {name} = "):
        video(root, *more, **{"out": root / "video", "frames": 2, **changes})


def test_frames_of_files_that_have_changed_are_rendered_again(root: Path, rendered: list[Cameras]) -> None:
    video(root, out=root / "video", frames=2)
    before = pictures(root / "video")
    path = root / f"data/rooms/{SCENE}/intrinsic/intrinsic_color.txt"
    np.savetxt(path, np.loadtxt(path) * [[2, 1, 1, 1], [1, 2, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]])
    for _ in range(2):
        video(root, out=root / "video", frames=2)
        assert len(rendered) == 4
    assert all(before[name] != content for name, content in pictures(root / "video").items())
    iio.imwrite(root / f"data/rooms/{SCENE}/color/0.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(UserError, match=r"frames.json: .* samples = "):  # and the command has, too
        video(root, "--N_samples", 5, out=root / "video", frames=2)


def test_frames_of_nobody_knows_what_are_not_taken(root: Path) -> None:
    video(root, out=root / "video", frames=2)
    (root / "video/frames.json").unlink()
    with pytest.raises(UserError, match=r"rgb_0000.png: expected frames.json beside it, found none"):
        video(root, out=root / "video", frames=2)


def test_paths_through_frames_and_from_a_file(root: Path) -> None:
    (one,) = video(root, trajectory="interpolate", keys=(3, 7, 4), frames=6)
    poses = read_poses(one.parent / "poses.txt")
    for place, frame in ((0, 3), (-1, 4)):
        assert np.allclose(poses[place], np.loadtxt(root / f"data/rooms/{SCENE}/pose/{frame}.txt"))
    (other,) = video(root, trajectory="file", poses=one.parent / "poses.txt")
    assert pictures(one.parent) == pictures(other.parent)
    with pytest.raises(UserError, match=r"99"):
        video(root, trajectory="interpolate", keys=(3, 99))
    with pytest.raises(UserError, match="--poses"):
        video(root, trajectory="file")


@pytest.mark.parametrize(
    ("task", "parts"),
    [("instance", {"rgb", "depth", "instance"}), ("panoptic", {"rgb", "depth", "semantic", "instance", "panoptic"})],
)
def test_the_task_says_what_is_shown(root: Path, task: str, parts: set[str]) -> None:
    start = ("--task", task, "--expname", "ft", "--ckpt_path", root / "out/gpnerf/model_000006.pth")
    (root / "one.txt").write_text(SCENE)
    build_finetuning(parse(flags(root, *start, "--val_set_list", root / "one.txt"))).run()
    (path,) = video(root, "--task", task, "--expname", "ft", frames=2)
    assert {name.split("_")[0] for name in pictures(path.parent)} == parts
    ids = iio.imread(path.parent / "instance_0001.png")
    assert set(ids.ravel().tolist()) <= {0, 1, 2, 3, 4}
    with pytest.raises(UserError, match=f"trained with --task semantic, found --task {task}"):
        video(root, *start, frames=2)


def test_one_process_renders_a_video(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="one process"):
        video(root)


def test_the_script_takes_flags_of_its_own_and_of_the_programs(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(REPOSITORY / "scripts/render_video.py"))["main"]
    own = ["--scene", SCENE, "--trajectory", "spiral", "--frames", "2", "--strip", "2", "--fps", "5"]
    monkeypatch.setattr("sys.argv", ["render_video.py", *own, *flags(root)])
    main()
    folder = root / f"out/gpnerf/video/{SCENE}/spiral"
    assert capsys.readouterr().out.split() == [str(folder / "strip.png"), str(folder / "video.mp4")]
    monkeypatch.setattr("sys.argv", ["render_video.py", *own, "--frames", "1", *flags(root)])
    with pytest.raises(UserError, match="--frames: expected at least 2"):
        main()
    monkeypatch.setattr("sys.argv", ["render_video.py", *own, *flags(root), "--fames", "9"])
    with pytest.raises(UserError, match="fames"):
        main()
