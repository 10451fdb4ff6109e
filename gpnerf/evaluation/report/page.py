"""The page from its parts: what the results do not have is left out."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from gpnerf.evaluation.report import fragments
from gpnerf.evaluation.report.comparisons import Comparison, Scores, verdict


def report_page(results: dict[str, Any], views: Sequence[Comparison], config: str) -> str:
    """An HTML page with all that `metrics.json` holds, pictures of some views, and the config file's text.

    It loads nothing: pictures, style and script are inside.
    """
    names, confusion = list(results["per_class_iou"]), results.get("confusion_matrix")
    parts = [_section("Scores", _scores(results))]
    if confusion:
        said = "<p>IoU over all pixels, and the class's share of the true pixels.</p>"
        parts.append(_section("Classes", said + fragments.class_bars(results["per_class_iou"], confusion)))
    if views:
        legend = fragments.legend(names, confusion) if confusion else ""
        shown = "".join(map(fragments.comparison, views))
        title = "Views, the worst first (truth left of the cut, prediction right)"
        parts.append(_section(title, f"<p>{legend}</p>{shown}"))
    if confusion:
        said = "<p>Percent of a true class's pixels.</p>"
        parts.append(_section("Confusion", said + fragments.confusion_table(names, confusion)))
    parts.append(_section("All views", _all_views(results)))
    parts.append(_section("Run", _run(results, config)))
    template = files(__package__).joinpath("template.html").read_text(encoding="utf-8")
    name = results["protocol"]["name"]
    return Template(template).substitute(title=escape(name), body="\n".join(parts))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _scores(results: dict[str, Any]) -> str:
    rows = {scene: part["mean"] for scene, part in results["scenes"].items()}
    table = fragments.score_table("scene", rows | {"all scenes": results["overall"]})
    if "best_on_test" in results:
        best = {scene: {"step": part["step"], **part["mean"]} for scene, part in results["best_on_test"].items()}
        said = "<p>Best checkpoint on the test images, as the released program reports it:</p>"
        table += said + fragments.score_table("scene", best)
    return table


def _all_views(results: dict[str, Any]) -> str:
    rows: dict[str, Scores] = {
        f"{scene}, frame {frame}": scores
        for scene, part in results["scenes"].items()
        for frame, scores in part.get("images", {}).items()
    }
    worst_first = sorted(rows, key=lambda name: verdict(rows[name])[1])
    table = fragments.score_table("view", {name: rows[name] for name in worst_first})
    return f"<details><summary>{len(rows)} views, the worst first</summary>{table}</details>"


def _run(results: dict[str, Any], config: str) -> str:
    checkpoint, protocol = results["checkpoint"], results["protocol"]
    told = [
        *((f"checkpoint {name}", value) for name, value in checkpoint.items()),
        ("protocol", protocol["name"]),
        ("protocol SHA-256", protocol["sha256"]),
        *results["environment"].items(),
    ]
    text = f"<details><summary>config</summary><pre>{escape(config)}</pre></details>" if config else ""
    return fragments.key_values(told) + text
