"""A task in a subprocess: its memory is returned when it ends, and a crash of it ends nothing else."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from time import monotonic
from typing import Any

from digits.common.errors import UserError

Send = Callable[[Any], Any]  # sends a message to the parent process, returns its reply

_POLL_INTERVAL = 0.2  # seconds between two checks of `stop`
_EXIT_TIMEOUT = 10.0  # seconds that a process may take to exit once its pipe is closed


class ProcessDiedError(Exception):
    """The subprocess did not finish its task; says why."""


class ProcessTimeoutError(ProcessDiedError):
    """The task took too long."""


class ProcessStoppedError(ProcessDiedError):
    """The task was stopped by `stop`."""


def run_in_subprocess(
    task: Callable[[Any, Send], None],
    argument: Any,
    on_message: Callable[[Any], Any],
    timeout: float,
    preload: Sequence[str] = (),
    first_message_timeout: float = inf,
    stop: threading.Event | None = None,
) -> None:
    """Call task(argument, send) in a subprocess, where send(message) returns what on_message(message) returns here.

    task: a function at the top of a module; argument, messages and replies are pickled. timeout: seconds after which
    the process is killed; first_message_timeout: the same as long as there was no message. stop: once it is set, the
    process is killed. preload: modules that are imported once, and that every subprocess then has from its start.
    Raises ProcessDiedError with the cause where the task raises or is killed, ProcessTimeoutError
    after a timeout, ProcessStoppedError after `stop`. The subprocess ends with the process that started it.
    """
    context = _context(tuple(preload))
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(task, argument, there), daemon=True)
    process.start()
    there.close()
    started, allowed = monotonic(), min(first_message_timeout, timeout)
    try:
        while (left := started + allowed - monotonic()) > 0:
            if stop and stop.is_set():
                raise ProcessStoppedError("was stopped")
            if not here.poll(min(left, _POLL_INTERVAL)):
                continue
            kind, message = here.recv()
            if kind == "done":
                return
            if kind == "failed":
                raise ProcessDiedError(message)
            here.send(on_message(message))
            allowed = timeout
        raise ProcessTimeoutError(f"took longer than {allowed:.0f} s")
    except (EOFError, ConnectionError):
        process.join(_EXIT_TIMEOUT)
        raise ProcessDiedError(_cause(process.exitcode)) from None
    finally:
        process.kill()
        process.join()
        here.close()


@cache
def _context(preload: tuple[str, ...]) -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload(list(preload))
    return context


def _cause(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "its process was killed, most often because memory ran out"
    if exitcode is not None and exitcode < 0:
        return f"its process was ended by {signal.Signals(-exitcode).name}"
    return f"its process ended without an error message, with exit status {exitcode}"


def _main(task: Callable[[Any, Send], None], argument: Any, there: Connection) -> None:
    gc.freeze()  # keeps the collector off the objects from before the fork, whose memory it would copy
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and kills this process
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(message: Any) -> Any:
        there.send(("message", message))
        return there.recv()

    try:
        task(argument, send)
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
