"""Scenes side by side: faults are kept apart, a full disk ends all, and the table shows every cell."""

import errno
import os
from collections.abc import Callable
from threading import Barrier, Event

import pytest

from gpnerf.errors import UserError
from gpnerf.preparation.batch import prepare_scenes, refuse_faults, summary, until

NAMES = ["b", "a", "c"]


def raising(error: Exception) -> Callable[[str, Event], dict[str, object]]:
    def prepare(name: str, stop: Event) -> dict[str, object]:
        if name == "a":
            raise error
        return {"frames": 7 if name == "b" else 1200, "state": "written"}

    return prepare


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("a.sens: bad"), ["a.sens: bad"]),
        (PermissionError(errno.EACCES, "denied", "a.sens"), ["a.sens", "denied"]),
    ],
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_fault_is_noted_and_the_others_go_on(error: Exception, words: list[str], jobs: int) -> None:
    done, faults = prepare_scenes(NAMES, raising(error), jobs)
    assert list(done) == ["b", "c"] and list(faults) == ["a"]
    assert all(word in faults["a"] for word in words)
    lines = summary(done, faults).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:4]]
    assert cells == [["scene", "frames", "state"], ["---"] * 3, ["b", "7", "written"], ["c", "1200", "written"]]
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[4:] == [f"failed: a: {faults['a']}"]
    with pytest.raises(UserError, match=r"1 of 3 scenes failed \(a\)"):
        refuse_faults(faults, len(NAMES))
    refuse_faults({}, len(NAMES))


def test_a_full_disk_ends_all_of_them() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        prepare_scenes(NAMES, raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")), jobs=1)


def test_jobs_run_at_the_same_time() -> None:
    together = Barrier(len(NAMES))
    done, _ = prepare_scenes(NAMES, lambda name, stop: {"place": together.wait(20)}, jobs=len(NAMES))
    assert sorted(cells["place"] for cells in done.values()) == [0, 1, 2]


def test_when_one_ends_the_program_the_others_stop() -> None:
    """A scene that would go on for ever ends when another meets an error that is not its own."""

    def prepare(name: str, stop: Event) -> dict[str, object]:
        if name == "a":
            raise KeyError(name)
        return {"frames": sum(1 for _ in until(stop, iter(int, 1)))}

    with pytest.raises(KeyError):
        prepare_scenes(["a", "b"], prepare, jobs=2)
