"""The scripts parse, and the entry scripts stay short."""

import subprocess
from pathlib import Path

import pytest
from tiny_runs import REPOSITORY


@pytest.mark.parametrize("path", sorted((REPOSITORY / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(path: Path) -> None:
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["train_gpnerf.py", "ft_gpnerf.py", "eval_gpnerf.py"])
def test_entry_scripts_are_short(name: str) -> None:
    assert len((REPOSITORY / name).read_text().splitlines()) <= 80
