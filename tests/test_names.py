"""No name is used that nothing defines. Words in shape annotations are none, so the style check itself lets them be."""

import json
import subprocess
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@cache
def strings(path: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and end (line, column) of every string of a file."""
    with Path(path).open("rb") as file:
        return [(token.start, token.end) for token in tokenize.tokenize(file.readline) if token.type == tokenize.STRING]


def test_every_name_is_defined() -> None:
    command = ["ruff", "check", "--isolated", "--select", "F821", "--output-format", "json", "."]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)
    assert found, "there are always some in shape annotations"
    places = [(fault["filename"], fault["location"], fault["message"]) for fault in found]
    undefined = [
        (name, at["row"], message)
        for name, at, message in places
        if not any(start <= (at["row"], at["column"] - 1) < end for start, end in strings(name))
    ]
    assert undefined == []
