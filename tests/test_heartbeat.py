"""A lost process is noticed whatever the others do, and a program that ends early says why in one line."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed import HashStore

from gpnerf.distributed.heartbeat import Heartbeat
from gpnerf.errors import STOPPING, Stopped, StopSignals, run_script, tells_stop


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


LOST = "error: another process of this run has ended or cannot be reached ({}); see its messages; "
FAILED = "error: the exchange between the processes of this run failed: {}; "
NCCL = (
    "NCCL error in: /x/c10d/ProcessGroupNCCL.cpp:22, {}, NCCL version 2.21.5\n{}\nException raised from f at /x.cpp:9"
)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "[/x/gloo/tcp/pair.cc:561] Connection closed by peer [::1]:5. This is a cluster.\nframe #0: c10::f\n",
            LOST.format("Connection closed by peer [::1]:5. This is a cluster"),
        ),
        (
            NCCL.format("remote process exited or there was a network error", "ncclRemoteError: A call failed."),
            LOST.format(
                "NCCL error in: remote process exited or there was a network error, NCCL version 2.21.5 "
                "ncclRemoteError: A call failed"
            ),
        ),
        (
            "Timed out after 61 seconds waiting for clients. 1/2 clients joined.",
            LOST.format("Timed out after 61 seconds waiting for clients. 1/2 clients joined"),
        ),
        (
            NCCL.format("unhandled cuda error", "Last error:\nCuda failure 2 'out of memory'"),
            FAILED.format(
                "NCCL error in: unhandled cuda error, NCCL version 2.21.5 Last error: Cuda failure 2 'out of memory'"
            ),
        ),
        (
            "[enforce fail at ../gloo/transport/tcp/device.cc:84] ifa != nullptr. Unable to find address for: eth7",
            FAILED.format("ifa != nullptr. Unable to find address for: eth7"),
        ),
        (
            "The server socket has failed to listen on any local network address. port: 5, name: EADDRINUSE",
            FAILED.format(
                "The server socket has failed to listen on any local network address. port: 5, name: EADDRINUSE"
            ),
        ),
    ],
)
def test_an_error_of_the_exchange_is_one_line_in_its_own_words(
    said: str, line: str, capsys: pytest.CaptureFixture
) -> None:
    def main() -> None:
        raise RuntimeError(said)

    with pytest.raises(SystemExit) as end:
        run_script(main)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert error == f"{line}the same command goes on from what is saved\n"


def test_an_error_of_something_else_that_timed_out_is_no_lost_process() -> None:
    def main() -> None:
        raise RuntimeError("the picture timed out")

    with pytest.raises(RuntimeError, match="the picture timed out"):
        run_script(main)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_a_script_with_128_and_its_number(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end:
        run_script(lambda: signal.raise_signal(number))
    assert end.value.code == 128 + number and tells_stop(end.value.code)
    assert [r.getMessage() for r in caplog.records] == [
        f"stopped by {number.name}; the same command goes on from what is saved"
    ]
    assert signal.getsignal(number) == before
    assert not issubclass(Stopped, Exception)


def test_a_closed_terminal_does_not_stop_what_nohup_started() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals, went_on = StopSignals(), []

    def main() -> None:
        with signals.noted():
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        went_on.append(signals.came)

    try:
        run_script(main)
        assert went_on == [None] and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_process_that_waits_for_the_others_can_be_stopped() -> None:
    """Its wait is not Python's, so that no handler would run before the others have come."""
    given = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    code = (
        "import gpnerf.errors as e, gpnerf.distributed as d, torch; print('here', flush=True); "
        "e.run_script(lambda: d.init(torch.device('cpu'), 'env://'))"
    )
    command = [sys.executable, "-c", code]
    root = str(Path(__file__).parent.parent)
    process = subprocess.Popen(command, env=os.environ | given, cwd=root, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"here\n"
        time.sleep(1)
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    finally:
        process.kill()
