"""Evaluation runs: the same numbers from any number of processes, from which weights, and with truth missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from launched import launch
from tiny_runs import EVALUATION_SCENES, flags

from gpnerf.assembly import build_evaluation
from gpnerf.assembly.data import CONFIGS
from gpnerf.assembly.evaluation import EvaluationRun
from gpnerf.config import parse
from gpnerf.errors import UserError

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")


def evaluation(root: Path, *more: object) -> EvaluationRun:
    return build_evaluation(parse(flags(root, *more)))


def files(folder: Path) -> dict[str, Any]:
    """The content of every file that an evaluation left, without what depends on time and machine."""
    found: dict[str, Any] = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
    results = json.loads(found.pop("metrics.json"))
    assert results.pop("seconds_per_image") > 0
    return found | {"results": results}


@pytest.mark.slow
def test_three_processes_find_and_write_what_one_does(root: Path) -> None:
    # 4 targets in one scene and 5 in the other: no even shares for 3 processes.
    rules = json.loads((CONFIGS / "protocols/rooms_clean.json").read_text())
    targets = {"start": 2, "stop": 40, "step": 3, "count": 5}
    (root / "mine.json").write_text(json.dumps({**rules, "name": "mine", "evaluation_targets": targets}))
    arguments = flags(root, "--protocol", root / "mine.json")
    run = build_evaluation(parse(arguments))
    run.run()
    folder = run.settings.folder
    alone = files(folder)
    shutil.rmtree(folder)
    without_local_rank = ("torch.distributed.launch", "--standalone", "--use_env")
    code, said = launch(3, "eval_gpnerf.py", arguments, root / "log", without_local_rank)
    assert code == 0, said[-3000:]
    together = files(folder)
    assert together == alone
    views = [json.loads(line) for line in together["views.jsonl"].splitlines()]
    assert [(view.pop("scene"), view.pop("frame")) for view in views] == [
        *((EVALUATION_SCENES[0], frame) for frame in (2, 5, 8, 11)),
        *((EVALUATION_SCENES[1], frame) for frame in (2, 5, 8, 11, 14)),
    ]
    images = [part for scene in alone["results"]["scenes"].values() for part in scene["images"].values()]
    assert views == images


def test_an_evaluation_that_is_cut_off_leaves_no_result(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evaluation(root).settings.folder
    evaluation(root).run()
    assert (folder / "metrics.json").is_file()

    def fails(*_: object) -> None:
        raise RuntimeError("cut off")

    monkeypatch.setattr("gpnerf.evaluation.run.evaluate_view", fails)
    with pytest.raises(RuntimeError, match="cut off"):
        evaluation(root).run()
    assert not [path for path in folder.iterdir() if path.is_file()]  # its pictures are written over one by one


def test_ckpt_path_wins_over_the_run_folder(root: Path) -> None:
    start = root / "out/gpnerf/model_000003.pth"
    assert evaluation(root, "--ckpt_path", start).settings.checkpoint["path"] == str(start)
    assert evaluation(root).settings.checkpoint["step"] == 6
    for name in ("gpnerf", "absent"):
        with pytest.raises(UserError, match=r"nowhere.pth: expected a checkpoint, found no such file"):
            evaluation(root, "--expname", name, "--ckpt_path", root / "nowhere.pth")
    with pytest.raises(UserError, match=r"out/absent: no checkpoint to evaluate.*--ckpt_path"):
        evaluation(root, "--expname", "absent")


def test_scene_without_labels_is_scored_by_colour_and_depth(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    bare, labelled = EVALUATION_SCENES
    shutil.rmtree(root / "data/rooms" / bare / "label-filt")
    results = evaluation(root).run()
    assert [r.message for r in caplog.records if "colour and depth only" in r.message] == [
        f"{bare} has no label files: colour and depth only are scored"
    ]
    mean = results["scenes"][bare]["mean"]
    assert mean["psnr"] is not None and mean["depth_rmse"] is not None
    assert not any("miou" in name or "accuracy" in name for name in mean)
    for name in ("miou", "miou_dataset", "miou_query"):
        assert results["overall"][name] == results["scenes"][labelled]["mean"][name] is not None


def test_without_depth_files_depth_is_not_scored(root: Path) -> None:
    for scene in EVALUATION_SCENES:
        shutil.rmtree(root / "data/rooms" / scene / "depth")
    overall = evaluation(root).run()["overall"]
    assert overall["psnr"] is not None and "depth_rmse" not in overall
