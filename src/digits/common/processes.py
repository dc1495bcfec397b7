"""Work in a process of its own: its memory comes back, and what ends it ends nothing else."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from time import monotonic
from typing import Any

from digits.common.errors import UserError

Ask = Callable[[Any], Any]

_GLANCE = 0.2  # seconds between two looks at whether it shall be stopped
_LAST_WORDS = 10.0  # seconds that a process may take to end after its last message


class ProcessDiedError(Exception):
    """The work did not come to its end; says why."""


class ProcessTimeoutError(ProcessDiedError):
    """The work took too long."""


class ProcessStoppedError(ProcessDiedError):
    """It was stopped by whoever started it."""


def run_in_subprocess(
    work: Callable[[Any, Ask], None],
    order: Any,
    answer: Callable[[Any], Any],
    seconds: float,
    preload: Sequence[str] = (),
    first: float = inf,
    stop: threading.Event | None = None,
) -> None:
    """Call work(order, ask) in a process of its own, where ask(message) returns what answer(message) returns here.

    work: a function of a module; order, messages and answers are pickled. seconds: until the process is killed; first:
    until it is killed where there was no message yet. stop: once it is set, the process is killed. preload: modules
    that every process has from its start, loaded once where the system can fork. Raises ProcessDiedError with the
    cause where the work raises or is killed, ProcessTimeoutError where it takes too long, ProcessStoppedError where it
    was stopped. The process ends with the one that started it.
    """
    context = _context(tuple(preload))
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(work, order, there), daemon=True)
    process.start()
    there.close()
    started, allowed = monotonic(), min(first, seconds)
    try:
        while (left := started + allowed - monotonic()) > 0:
            if stop and stop.is_set():
                raise ProcessStoppedError("was stopped")
            if not here.poll(min(left, _GLANCE)):
                continue
            kind, message = here.recv()
            if kind == "done":
                return
            if kind == "failed":
                raise ProcessDiedError(message)
            here.send(answer(message))
            allowed = seconds
        raise ProcessTimeoutError(f"took longer than {allowed:.0f} s")
    except (EOFError, ConnectionError):
        process.join(_LAST_WORDS)
        raise ProcessDiedError(_cause(process.exitcode)) from None
    finally:
        process.kill()
        process.join()
        here.close()


@cache
def _context(preload: tuple[str, ...]) -> "ForkServerContext | SpawnContext":
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload(list(preload))
    return context


def _cause(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "its process was killed, most often for want of memory"
    if exitcode is not None and exitcode < 0:
        return f"its process was ended by {signal.Signals(-exitcode).name}"
    return f"its process ended without a word, with exit status {exitcode}"


def _main(work: Callable[[Any, Ask], None], order: Any, there: Connection) -> None:
    gc.freeze()  # what was loaded before the fork stays: each collection that went through it would also copy it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it is told as well, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def ask(message: Any) -> Any:
        there.send(("ask", message))
        return there.recv()

    try:
        work(order, ask)
    except UserError as error:
        there.send(("failed", str(error)))
    except Exception as error:
        there.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"))
    else:
        there.send(("done", None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
