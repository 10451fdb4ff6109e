"""A lost process is noticed whatever the others do, and a program that ends early says why in one line."""

import logging
import signal
import threading
import time
from collections.abc import Callable

import pytest
from torch.distributed import HashStore

from gpnerf.distributed.heartbeat import Heartbeat
from gpnerf.errors import Stopped, run_script


def watching(processes: int, patience: float, ended: list[int]) -> list[Heartbeat]:
    store = HashStore()

    def end(rank: int) -> Callable[[int], None]:
        return lambda code: ended.append(rank)

    return [Heartbeat(store, rank, processes, 0.02, patience, end(rank)) for rank in range(processes)]


def test_a_process_that_falls_silent_ends_the_others(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[int] = []
    beats = watching(3, 0.3, ended)
    for beat in beats[:2]:  # the third died before it could begin
        beat.start()
    for beat in beats[:2]:
        beat._thread.join(10)
    assert sorted(ended) == [0, 1]
    assert any("process 2 of 3 has been silent" in record.getMessage() for record in caplog.records)


def test_processes_that_end_one_after_the_other_are_not_missed() -> None:
    ended: list[int] = []
    beats = watching(3, 0.3, ended)
    for beat in beats:
        beat.start()
    for beat in beats:
        beat.stop()
        time.sleep(0.6)
    assert ended == []


def test_a_lost_store_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(HashStore):
        def add(self, *_: object) -> int:
            raise RuntimeError("Connection reset by peer")

    ended = threading.Event()
    beat = Heartbeat(Gone(), 1, 2, interval=0.01, patience=9.0, end=lambda code: ended.set())
    beat.start()
    assert ended.wait(10)
    assert any("its first process or machine is gone" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("said", ["[/x/gloo/tcp/pair.cc:561] Connection closed by peer [::1]:5", "NCCL error"])
def test_a_lost_process_is_one_line(said: str, capsys: pytest.CaptureFixture) -> None:
    def main() -> None:
        raise RuntimeError(said)

    with pytest.raises(SystemExit):
        run_script(main)
    error = capsys.readouterr().err
    assert error.startswith("error: another process of this run has ended") and error.count("\n") == 1
    assert "/x/" not in error and "the same command goes on" in error


def test_a_signal_ends_a_script_with_code_0(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        run_script(lambda: signal.raise_signal(signal.SIGTERM))
    assert end.value.code == 0
    assert [r.getMessage() for r in caplog.records] == [
        "stopped by SIGTERM; the same command goes on from what is saved"
    ]
    assert signal.getsignal(signal.SIGTERM) == before
    assert not issubclass(Stopped, Exception)
