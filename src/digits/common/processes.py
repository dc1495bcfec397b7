"""A task in a subprocess: its memory is returned when it ends, and a crash of it ends nothing else."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
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
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Call task(argument, send) in a subprocess, where send(message) returns what on_message(message) returns here.

    task: a function at the top of a module; argument, messages and replies are pickled. timeout: seconds after which
    the process is killed; first_message_timeout: the same as long as there was no message. stop: asked all the time;
    once it returns true, the process is killed. preload: as of `_context`.
    Raises ProcessDiedError with the cause where the task raises or is killed, ProcessTimeoutError
    after a timeout, ProcessStoppedError after `stop`, and what `on_message` raises. The subprocess ends with the
    process that started it.
    """
    context = _context(preload)
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(task, argument, there), daemon=True)
    process.start()
    there.close()
    started, allowed = monotonic(), min(first_message_timeout, timeout)
    try:
        while (left := started + allowed - monotonic()) > 0:
            if stop():
                raise ProcessStoppedError("was stopped")
            if not here.poll(min(left, _POLL_INTERVAL)):
                continue
            with _pipe_of(process):
                kind, message = here.recv()
            if kind == "done":
                return
            if kind == "failed":
                raise ProcessDiedError(message)
            reply = on_message(message)
            with _pipe_of(process):
                here.send(reply)
            allowed = timeout
        raise ProcessTimeoutError(f"took longer than {allowed:.0f} s")
    finally:
        process.kill()
        process.join()
        here.close()


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """How processes are started that have these modules from their start.

    They are forked from a server that has imported them. There is one server, and the first call that names modules
    starts it with those: other modules of later calls would be missing. What needs none is a new interpreter, because
    it must not be what starts the server.
    """
    if not preload:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context


@contextmanager
def _pipe_of(process: BaseProcess) -> Iterator[None]:
    """Raise ProcessDiedError where the pipe is closed at the other end."""
    try:
        yield
    except (EOFError, ConnectionError):
        process.join(_EXIT_TIMEOUT)
        raise ProcessDiedError(_cause(process.exitcode)) from None


def run_in_threads(
    function: Callable[[Any, threading.Event], Any],
    arguments: Iterable[Any],
    workers: int,
    on_result: Callable[[Any, Any], Any] = lambda *_: None,
) -> None:
    """Call function(argument, stop) for each argument, in `workers` threads; on_result takes each result, here.

    `stop` is set at the first exception, here or in a thread: running calls should then end at once. No further one
    begins, and the exception is raised when all have ended.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(function, argument, stop): argument for argument in arguments}
        try:
            for future in as_completed(running):
                on_result(running[future], future.result())
        except BaseException:  # Ctrl-C, too
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
