"""From the scores of views to `metrics.json`, `summary.md` and `report.html`."""

import platform
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpnerf.evaluation.report import Comparison, report_page
from gpnerf.metrics.instances import THRESHOLDS
from gpnerf.metrics.segmentation import SegmentationScores
from gpnerf.storage import strict_json, write_whole

Scores = dict[str, float | None]

# The scores of instances: average precision at each overlap; of large instances; recall of small ones. Those that end
# in _query are of the head on the real image.
_PRECISION = ("ap50", "ap75")
INSTANCE_SCORES = (
    *(f"ap{round(100 * threshold)}" for threshold in THRESHOLDS),
    *(f"{name}{part}" for part in ("_query", "_large", "_large_query") for name in _PRECISION),
    *("recall50_small", "recall50_small_query"),
)

# COCO's average precision, of all views of a scene. It came after the protocols were written: where one lists the score
# on the right these are reported too, so that its file and the SHA-256 of its content stay what they were.
COCO_SCORES = ("ap_coco", "ap50_coco")
_LISTED_WITH = dict.fromkeys(COCO_SCORES, "ap50")

# The scores of classes and instances as one segmentation, of a view; those that end in _scene take all views of a scene
# for one picture.
_PANOPTIC = ("pq", "sq", "rq", "pq_things", "pq_stuff")
SCENE_SUFFIX = "_scene"
_PANOPTIC_OF_SCENE = tuple(f"{name}{SCENE_SUFFIX}" for name in _PANOPTIC)
PANOPTIC_SCORES = (*_PANOPTIC, *_PANOPTIC_OF_SCENE, "pq_query")

# Scores that a scene has as a whole, not as the mean of its views.
SCENE_SCORES = (*_PANOPTIC_OF_SCENE, *COCO_SCORES)

# Every score that an evaluation can give.
_SEGMENTATION = ("miou", "total_accuracy", "class_accuracy")
SCORES = (
    *("psnr", "ssim", "lpips", "lpips_unscaled", "psnr_nearest_view", "depth_abs_rel", "depth_rmse", "depth_delta1"),
    *_SEGMENTATION,
    *(f"{name}_dataset" for name in _SEGMENTATION),
    *("miou_boundary", "miou_query", "miou_most_frequent"),
    *PANOPTIC_SCORES,
    *INSTANCE_SCORES,
    *COCO_SCORES,
)


def mean_scores(parts: Iterable[Mapping[str, float | None]]) -> Scores:
    """Mean of every score over the parts that have it; None where no part has."""
    collected: dict[str, list[float]] = {}
    for part in parts:
        for name, value in part.items():
            collected.setdefault(name, []).extend([] if value is None else [value])
    return {name: sum(values) / len(values) if values else None for name, values in collected.items()}


def assemble(
    scenes: Mapping[str, Mapping[int, Scores]],
    segmentation: Mapping[str, SegmentationScores],
    class_names: Sequence[str],
    seconds: Sequence[float],
    metrics: Collection[str],
    of_scenes: Mapping[str, Scores],
) -> dict[str, Any]:
    """The scores of a whole evaluation: per image, per scene (mean over images) and overall (mean over scenes).

    Only what `metrics` names is kept, and what goes with that. `of_scenes` are the scores of a scene as a whole.

    Scores named `*_dataset` come from one confusion matrix over all pixels of a scene, or of all scenes; the latter
    (rows: truth, in the order of the classes) is kept too.
    """

    listed = partial(_listed, metrics)
    scenes = {scene: {frame: listed(scores) for frame, scores in images.items()} for scene, images in scenes.items()}
    means = {scene: mean_scores(images.values()) | listed(of_scenes.get(scene, {})) for scene, images in scenes.items()}
    overall = mean_scores(means.values())
    per_class: Scores = {}
    confusion: list[list[int]] = []
    if segmentation:
        total = sum(segmentation.values(), SegmentationScores.empty(len(class_names)))
        overall |= listed(total.dataset())
        per_class, confusion = total.per_class_iou(class_names), total.matrix.tolist()
        for scene, state in segmentation.items():
            means[scene] |= listed(state.dataset())
    return {
        "overall": overall,
        "scenes": {
            scene: {"mean": means[scene], "images": {str(frame): scores for frame, scores in images.items()}}
            for scene, images in scenes.items()
        },
        "per_class_iou": per_class,
        "confusion_matrix": confusion,
        "seconds_per_image": sum(seconds) / len(seconds) if seconds else None,
    }


def _listed(metrics: Collection[str], scores: Mapping[str, float | None]) -> Scores:
    """The scores that are named, and those that go with a named one."""
    return {name: value for name, value in scores.items() if name in metrics or _LISTED_WITH.get(name) in metrics}


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and hardware that a number was computed with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def prepare(folder: Path) -> None:
    """Make the folder of an evaluation; an earlier one's results go, since its pictures will be written over."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.json", "summary.md", "report.html", "views.jsonl"):
        (folder / name).unlink(missing_ok=True)


def write_results(folder: Path, results: dict[str, Any], views: Sequence[Comparison] = (), config: str = "") -> None:
    """Write `summary.md`, `report.html` and, when all else is there, `metrics.json`, each in one move.

    The report also shows some views and the text of the run's config file.
    """
    write_whole(folder / "summary.md", summary(results))
    write_whole(folder / "report.html", report_page(results, views, config))
    write_whole(folder / "metrics.json", strict_json(results, indent=1))


def summary(results: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    protocol, checkpoint = results["protocol"], results["checkpoint"]
    lines = [
        f"# {protocol['name']}",
        "",
        f"Checkpoint `{checkpoint['path']}`, step {checkpoint['step']}; protocol SHA-256 `{protocol['sha256'][:12]}`; "
        f"{results['environment']['device']}, torch {results['environment']['torch']}.",
        "",
        summary_table(results),
        "",
    ]
    if "best_on_test" in results:
        best = {scene: {"step": float(part["step"]), **part["mean"]} for scene, part in results["best_on_test"].items()}
        columns = list(
            dict.fromkeys(name for mean in best.values() for name, value in mean.items() if value is not None)
        )
        lines += ["Best checkpoint on the test images, as the released program reports it:", ""]
        lines += [_table("scene", columns, best), ""]
    if results["per_class_iou"]:
        rows = {name: {"IoU": value} for name, value in results["per_class_iou"].items()}
        lines += [_table("class", ["IoU"], rows), ""]
    return "\n".join(lines)


def summary_table(results: dict[str, Any]) -> str:
    """One row a scene and one for the mean over scenes, one column a score that any of them has."""
    rows = {scene: part["mean"] for scene, part in results["scenes"].items()}
    rows["all scenes"] = results["overall"]
    columns = [name for name, value in results["overall"].items() if value is not None]
    return _table("scene", columns, rows)


def _table(first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, float | None]]) -> str:
    cells = [[name, *(_number(scores.get(column)) for column in columns)] for name, scores in rows.items()]
    return markdown_table([first, *columns], cells)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in the text too."""
    cells = [header, ["---"] * len(header), *rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _commit() -> str | None:
    """The git commit of this program, if it runs from a clone."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
