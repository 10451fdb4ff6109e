"""Settings that hold for every test."""

import os
import signal
from collections.abc import Iterator

import pytest
import torch

# Tiny models are far slower on several threads than on one; started processes take it from the environment.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# As a terminal starts programs: `nohup` would have them ignore it, and started processes take that over too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def float64() -> Iterator[None]:
    """Numbers and networks made from now on are in float64.

    Comparisons of sums in different orders, or with stored numbers, then hold alike on every processor: what remains
    is far below any tolerance, or is in what is stored.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
