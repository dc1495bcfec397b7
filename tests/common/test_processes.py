"""A task in a subprocess: replies come back, and whatever ends it is reported and ends nothing else."""

import os
import signal
import subprocess
import sys
import threading
import time
from math import inf
from pathlib import Path
from typing import Any

import pytest

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessStoppedError, ProcessTimeoutError, Send, run_in_subprocess

pytestmark = pytest.mark.slow

LONG = 600.0  # seconds: no machine is so slow
FOR_EVER = 3600.0  # seconds of sleep, which no test waits for


def sums(numbers: list[int], send: Send) -> None:
    total = 0
    for number in numbers:
        total = send((os.getpid(), total + number))


def raises(error: Exception, send: Send) -> None:
    raise error


def is_killed(number: int, send: Send) -> None:
    send("still here")
    os.kill(os.getpid(), number)


def hangs(seconds: float, send: Send) -> None:
    time.sleep(seconds)


def exits(status: int, send: Send) -> None:
    os._exit(status)


def test_messages_are_answered_from_another_process() -> None:
    received: list[Any] = []

    def reply(message: Any) -> int:
        received.append(message)
        return int(message[1])

    run_in_subprocess(sums, [1, 2, 3], reply, LONG)
    assert [total for _, total in received] == [1, 3, 6]
    assert {pid for pid, _ in received} != {os.getpid()}


@pytest.mark.parametrize(
    ("task", "argument", "message"),
    [
        (raises, UserError("the loss became nan"), "^the loss became nan$"),
        (raises, ValueError("a\nb"), "^ValueError: a b$"),
        (raises, MemoryError(), "MemoryError"),
        (is_killed, signal.SIGKILL, "was killed, most often because memory ran out"),
        (is_killed, signal.SIGSEGV, "ended by SIGSEGV"),
        (exits, 3, "without an error message, with exit status 3"),
        (hangs, FOR_EVER, "took longer than 1 s"),
    ],
)
def test_whatever_ends_it_is_reported(task: Any, argument: Any, message: str) -> None:
    with pytest.raises(ProcessDiedError, match=message):
        run_in_subprocess(task, argument, lambda _: None, 1 if task is hangs else LONG)


def test_the_first_message_may_have_a_limit_of_its_own() -> None:
    with pytest.raises(ProcessTimeoutError, match="took longer than 1 s"):
        run_in_subprocess(hangs, FOR_EVER, lambda _: None, LONG, first_message_timeout=1)
    started = time.monotonic()
    run_in_subprocess(sums, [1], lambda _: 0, LONG)
    limit = max(1.0, 5 * (time.monotonic() - started))  # for the first message, on this machine
    received: list[Any] = []

    def slow(message: Any) -> int:
        received.append(message)
        time.sleep(limit + 0.5 if len(received) == 1 else 0.0)  # longer than the first may take, but after it
        return 0

    run_in_subprocess(sums, [1, 2], slow, LONG, first_message_timeout=limit)
    assert len(received) == 2


def test_it_can_be_stopped_while_it_sends_nothing() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(ProcessStoppedError, match="was stopped"):
        run_in_subprocess(hangs, FOR_EVER, print, inf, stop=stop)


def test_what_fails_here_ends_the_task_there() -> None:
    def fail(_: Any) -> Any:
        raise KeyError("here")

    with pytest.raises(KeyError):
        run_in_subprocess(sums, [1, 2], fail, LONG)


ORPHAN = """
import os, sys, time
from pathlib import Path
from digits.common.processes import run_in_subprocess

def task(path, send):
    Path(path).write_text(str(os.getpid()))
    time.sleep(3600)

if __name__ == "__main__":
    run_in_subprocess(task, sys.argv[1], print, 3600)
"""


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script, note = tmp_path / "orphan.py", tmp_path / "pid"
    script.write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, str(script), str(note)])
    child = 0
    while not child:
        time.sleep(0.05)
        child = int((note.read_text() if note.exists() else "") or 0)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + LONG
    while _lives(child):
        assert time.monotonic() < deadline, "the orphan goes on"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
