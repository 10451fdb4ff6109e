"""Fixtures of the tests of whole runs; a test file asks for them by `pytest_plugins = ["run_fixtures"]`."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_runs import training, write_rooms

from gpnerf.metrics.perceptual import LpipsScorer


@contextmanager
def _tiny_setting() -> Iterator[None]:
    log = logging.getLogger("gpnerf")
    level = log.level
    log.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        # No attempt to download a perceptual network.
        patch.setattr("gpnerf.evaluation.run.lpips_scorer", lambda device: LpipsScorer(None))
        yield
    log.setLevel(level)


@pytest.fixture(scope="module")
def tiny_setting() -> Iterator[None]:
    """What tiny runs need: information in the log, and no download."""
    with _tiny_setting():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a finished run of 6 steps, out/gpnerf, with checkpoints at 3 and 6; not to be changed."""
    root = write_rooms(tmp_path_factory.mktemp("finished"))
    with _tiny_setting():
        training(root, "--total_step", 6).run()
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` to work on."""
    return shutil.copytree(finished, tmp_path / "root")
