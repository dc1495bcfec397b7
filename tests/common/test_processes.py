"""Work in a process of its own: answers come back, and whatever ends it is said and ends nothing else."""

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
from digits.common.processes import Ask, ProcessDiedError, ProcessTimeoutError, run_in_subprocess


def sums(order: list[int], ask: Ask) -> None:
    total = 0
    for number in order:
        total = ask((os.getpid(), total + number))


def raises(order: Exception, ask: Ask) -> None:
    raise order


def is_killed(order: int, ask: Ask) -> None:
    ask("still here")
    os.kill(os.getpid(), order)


def hangs(order: float, ask: Ask) -> None:
    time.sleep(order)


def leaves(order: int, ask: Ask) -> None:
    os._exit(order)


def test_messages_are_answered_from_another_process() -> None:
    told: list[Any] = []

    def answer(message: Any) -> int:
        told.append(message)
        return int(message[1])

    run_in_subprocess(sums, [1, 2, 3], answer, 60)
    assert [total for _, total in told] == [1, 3, 6]
    assert {pid for pid, _ in told} != {os.getpid()}


@pytest.mark.parametrize(
    ("work", "order", "message"),
    [
        (raises, UserError("the loss became nan"), "^the loss became nan$"),
        (raises, ValueError("a\nb"), "^ValueError: a b$"),
        (raises, MemoryError(), "MemoryError"),
        (is_killed, signal.SIGKILL, "was killed, most often for want of memory"),
        (is_killed, signal.SIGSEGV, "ended by SIGSEGV"),
        (leaves, 3, "without a word, with exit status 3"),
        (hangs, 60.0, "took longer than 1 s"),
    ],
)
def test_whatever_ends_it_is_said(work: Any, order: Any, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(ProcessDiedError, match=message):
        run_in_subprocess(work, order, lambda _: None, 1 if work is hangs else 60)
    assert time.monotonic() - started < 30


def test_the_first_message_may_have_a_limit_of_its_own() -> None:
    with pytest.raises(ProcessTimeoutError, match="took longer than 1 s"):
        run_in_subprocess(hangs, 60.0, lambda _: None, 60, first=1)
    told: list[Any] = []

    def slow(message: Any) -> int:
        told.append(message)
        time.sleep(4.5 if len(told) == 1 else 0.0)  # longer than the first may take, but after it
        return 0

    run_in_subprocess(sums, [1, 2], slow, 60, first=4)
    assert len(told) == 2


def test_it_can_be_stopped_while_it_says_nothing() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(ProcessDiedError, match="was stopped"):
        run_in_subprocess(hangs, 60.0, print, inf, stop=stop)
    assert time.monotonic() - started < 30


def test_what_fails_here_ends_the_work_there() -> None:
    def answer(_: Any) -> Any:
        raise KeyError("here")

    with pytest.raises(KeyError):
        run_in_subprocess(sums, [1, 2], answer, 60)


ORPHAN = """
import os, sys, time
from pathlib import Path
from digits.common.processes import run_in_subprocess

def work(order, ask):
    Path(order).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    run_in_subprocess(work, sys.argv[1], print, 60)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
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
    deadline = time.monotonic() + 20
    while _lives(child):
        assert time.monotonic() < deadline, "the orphan goes on"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
