"""Freed memory stays with the process, where the C library can be told so."""

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import resource, torch
from gpnerf.allocation import keep_freed_memory
torch.set_num_threads(1)
if {kept}: keep_freed_memory()
def work():
    for _ in range(100):
        x = torch.empty(2_000_000); x.zero_(); y = torch.empty(2_000_000); y.zero_()
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kept: bool) -> int:
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", _PROGRAM.format(kept=kept)]
    return int(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is asked")
def test_memory_that_is_freed_and_taken_again_causes_no_page_faults() -> None:
    assert page_faults(kept=True) < 100
    assert page_faults(kept=False) > 10_000, "otherwise there is nothing to keep"
