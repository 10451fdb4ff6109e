"""The report in a real browser: nothing goes wrong, and the sliders move the cut between truth and prediction."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_report import results, view

from gpnerf.evaluation.report import report_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser found ({', '.join(NAMES)})")

# What a person does with the mouse and the keyboard; what is seen after it goes into the page's title.
MOVES = """
<script>
const seen = [], view = document.querySelector(".view"), slider = view.querySelector("input");
const picture = view.querySelector(".compare"), truth = view.querySelector(".truth");
const cut = () => getComputedStyle(view).getPropertyValue("--cut");
const look = () => seen.push(slider.value, getComputedStyle(truth).clipPath, cut());
look();
slider.value = 80;
slider.dispatchEvent(new Event("input", {bubbles: true}));
look();
const box = picture.getBoundingClientRect();
const place = {clientX: box.left + box.width / 4, clientY: box.top + 1, bubbles: true, cancelable: true};
picture.dispatchEvent(new PointerEvent("pointermove", {...place, buttons: 0}));
look();
picture.dispatchEvent(new PointerEvent("pointermove", {...place, buttons: 1}));
look();
document.title = "seen " + seen.join("|") + "|" + box.width + "|" + truth.naturalWidth;
</script>
"""


def opened(path: Path) -> tuple[str, str]:
    """The page after its scripts ran, and what the browser's console said."""
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={path.parent / 'profile'}", "--enable-logging=stderr", "--v=0", "--dump-dom"]
    environment = {**os.environ, "HOME": str(path.parent)}
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return done.stdout, console


def test_console_errors_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text("<title>x</title><script>console.log('hello'); absent.thing()</script>")
    assert "absent is not defined" in opened(tmp_path / "bad.html")[1]


def test_the_slider_moves_the_cut(tmp_path: Path) -> None:
    html = report_page(results(), [view(), view()], "expname = x")
    (tmp_path / "report.html").write_text(html.replace("</body>", MOVES + "</body>"))
    page, console = opened(tmp_path / "report.html")
    assert console == ""
    (seen,) = re.findall(r"<title>seen (.*)</title>", page)
    *moves, width, natural = seen.split("|")
    assert float(width) > 200 and natural == "6"  # the picture inside the page was decoded, and enlarged
    states = [(float(moves[k]), moves[k + 2]) for k in range(0, len(moves), 3)]
    assert states == [(50, "50%"), (80, "80%"), (80, "80%"), (25, "25%")]  # a mouse that passes over moves nothing
    right = [re.search(r"inset\(0px (.*?) 0px 0px\)", moves[k + 1]) for k in range(0, len(moves), 3)]
    assert len({match[1] for match in right if match}) == 3 and all(right)


def test_nothing_may_be_loaded_from_elsewhere(tmp_path: Path) -> None:
    html = report_page(results(), [], "")
    (tmp_path / "report.html").write_text(html.replace("</body>", '<img src="http://127.0.0.1:9/a.png"></body>'))
    console = opened(tmp_path / "report.html")[1]
    assert "Content Security Policy" in console
