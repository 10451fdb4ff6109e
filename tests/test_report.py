"""The report page: whole, self-contained, escaped, and with the same numbers as the results."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from tiny_report import results, view
from tiny_runs import EVALUATION_SCENES, flags

from gpnerf.assembly import build_evaluation, build_finetuning
from gpnerf.config import parse
from gpnerf.evaluation.report import report_page, worst_views
from gpnerf.visualize.colouring import IGNORE_COLOUR, class_palette

pytest_plugins = ["run_fixtures"]
pytestmark = pytest.mark.usefixtures("tiny_setting")

NASTY = "<script>alert('a\"b')</script>&amp;"
# Elements that are never closed.
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """Texts by the path of elements that they stand in, all elements with their attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(("/".join(self.open), data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, *ends: str) -> list[str]:
        return [text for place, text in self.texts if place.endswith(ends)]


def decoded(image: dict[str, str | None]) -> np.ndarray:
    return iio.imread(base64.b64decode(str(image["src"]).split(",")[1]), extension=".png")


def test_tables_bars_and_matrix_show_the_results() -> None:
    page = Page(report_page(results(), [view()], "expname = x\n"))
    assert page.said("title") == page.said("h1") == ["clean"]
    cells = page.said("td")
    assert f"{results()['overall']['miou']:.4f}" in cells and "21.5000" in cells
    widths = re.findall(r"width:([\d.]+)%", " ".join(str(bar.get("style")) for bar in page.all("i")))
    assert [float(width) for width in widths] == pytest.approx([100 * 90 / 120, 50], abs=0.05)  # chair has no truth
    told = [cell["title"] for cell in page.all("td") if cell.get("title")]
    assert told == [
        "wall: 90 pixels", "wall taken for floor: 10 pixels", "floor taken for wall: 20 pixels", "floor: 30 pixels"
    ]  # fmt: skip
    assert [text for text in cells if text.isdecimal()][:4] == ["90", "10", "40", "60"]
    assert any("expname = x" in text for text in page.said("pre"))
    # The views of the table stand in the order of their scores, the worst first.
    frames = [text for text in page.said("tbody/tr/th") if "frame" in text]
    assert frames == ["room, frame 8", "room, frame 7"]


def test_nothing_is_loaded_and_nothing_from_outside_is_markup() -> None:
    html = report_page(results(NASTY, (NASTY, "floor", "chair")), [view(NASTY)], NASTY)
    page = Page(html)
    assert len(page.all("script")) == 1 and len(page.all("style")) == 1
    assert not page.all("link") and not page.all("iframe") and not page.all("a")
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href") or str(value).startswith("data:image/")
    script = page.said("script")[0]
    for text in (script, page.said("style")[0]):
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'") and "http" not in str(policy)
    headings = [text for text in page.said("h3") if NASTY in text]
    assert headings and NASTY in page.said("pre")[0]


def test_a_page_without_semantics_pictures_or_config() -> None:
    bare = {**results(), "per_class_iou": {}, "confusion_matrix": []}
    page = Page(report_page(bare, [], ""))
    assert page.said("h2") == ["Scores", "All views", "Run"]
    assert not page.all("img") and not page.all("pre")


def test_an_evaluation_leaves_its_report(root: Path) -> None:
    run = build_evaluation(parse(flags(root)))
    run.run()
    html = (run.folder / "report.html").read_text()
    page = Page(html)
    written = json.loads((run.folder / "metrics.json").read_text())
    count = torch.tensor(written["confusion_matrix"])
    assert count.shape == (20, 20)
    assert written["overall"]["total_accuracy_dataset"] == pytest.approx(float(count.trace() / count.sum()))
    scores = {
        f"{scene}, frame {frame}": each["miou"]
        for scene, part in written["scenes"].items()
        for frame, each in part["images"].items()
    }
    assert page.said("h3") == sorted(scores, key=lambda name: scores[name])
    images = page.all("img")
    assert len(images) == len(scores) * 3 * 2  # colour, depth and classes; truth and prediction
    drawn = [image for image in images if str(image["src"]).startswith("data:image/png")]  # without loss
    palette = np.vstack([class_palette(20), IGNORE_COLOUR])
    for name, prediction, truth in zip(page.said("h3"), drawn[::2], drawn[1::2], strict=True):
        scene, frame = name.split(", frame ")
        assert scene in EVALUATION_SCENES and (prediction["class"], truth["class"]) == ("prediction", "truth")
        ids = iio.imread(run.folder / scene / f"semantic_{frame}.png")
        assert np.array_equal(decoded(prediction), palette[ids])
        assert decoded(truth).shape == decoded(prediction).shape
    assert any("num_source_views = 3" in text for text in page.said("pre"))
    assert len(html) < 300_000
    # Without its pictures a view is left out, and its scores stay.
    (run.folder / EVALUATION_SCENES[0] / "rgb_4.png").unlink()
    places = [(scene, run.folder / scene.name) for scene in run.scenes]
    views = worst_views(written, places, run.source.class_names, run.source.stuff, 2)
    assert len(views) == len(scores) - 1


def test_reports_of_scenes_that_have_weights_of_their_own(root: Path) -> None:
    start = root / "out/gpnerf/model_000006.pth"
    build_finetuning(parse(flags(root, "--task", "panoptic", "--expname", "ft", "--ckpt_path", start))).run()
    joint = Page((root / "out/ft/report.html").read_text())
    single = [
        Page(next((root / "out/ft" / scene).glob("eval/*/report.html")).read_text()) for scene in EVALUATION_SCENES
    ]
    assert sorted(joint.said("h3")) == sorted(name for page in single for name in page.said("h3"))
    for page in (joint, *single):
        views = len(page.said("h3"))
        shown = [title.split(",")[0] for title in page.said("figcaption")]
        assert shown == ["colour", "depth", "classes", "instances", "panoptic"] * views
    assert "Confusion" in single[0].said("h2") and "Confusion" not in joint.said("h2")  # no one network saw all pixels
    assert all(text.startswith("pq ") for text in joint.said("h3/small"))
