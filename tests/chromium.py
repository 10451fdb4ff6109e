"""A headless Chromium that opens a page and takes pictures of it, by the DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    "--headless", "--no-sandbox", "--no-first-run", "--disable-quic", "--disable-sync", "--disable-component-update",
    "--disable-background-networking", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0", "--window-size=800,600",
]  # fmt: skip


class Page:
    """An open page; `call` speaks the DevTools protocol to it."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                return answer["result"]

    def screenshot(self) -> bytes:
        """A PNG of what the page shows."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def wait_for(self, seen: Callable[[bytes], bool], seconds: float = 60) -> bool:
        """Whether a screenshot is as it should be within that time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if seen(self.screenshot()):
                return True
            time.sleep(0.2)
        return False

    def click_button(self, text: str) -> None:
        """Click the button with this text."""
        script = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === {text!r}).click()"
        assert "exceptionDetails" not in self.call("Runtime.evaluate", expression=script), f"no button {text!r}"


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Page]:
    """The page at an address, in a browser of its own that keeps its files in `folder`."""
    from websockets.sync.client import connect

    assert PROGRAM is not None
    browser = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={folder}", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        note, until = folder / "DevToolsActivePort", time.monotonic() + 60
        while not (note.is_file() and note.read_text().strip()):
            assert browser.poll() is None and time.monotonic() < until, "the browser does not start"
            time.sleep(0.1)
        port = note.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (page,) = (target for target in json.load(answer) if target["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        browser.terminate()
        browser.wait()
