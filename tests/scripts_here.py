"""Runs the scripts in this process: starting one anew takes seconds for the import of PyTorch alone."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_runs import REPOSITORY

_loaded: dict[str, ModuleType] = {}


def script(name: str) -> ModuleType:
    """A script (in the repository) as a module, loaded once."""
    if name not in _loaded:
        spec = importlib.util.spec_from_file_location(f"here_{Path(name).stem}", REPOSITORY / name)
        assert spec is not None and spec.loader is not None
        sys.modules[spec.name] = _loaded[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_loaded[name])
    return _loaded[name]


def run_here(name: str, *arguments: object) -> None:
    """A script's `main` with these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        script(name).main()


class InThisProcess:
    """Stands in for a pool of processes, which would import everything anew."""

    def __init__(self, *_: object, **__: object) -> None:
        self.map = map

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        pass
