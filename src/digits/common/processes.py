"""Tasks in subprocesses: their memory is freed when they end, and a crash does not end the program."""

import gc
import multiprocessing
import os
import signal
import sys
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
_FORK_IS_SAFE = sys.platform != "darwin"  # Apple's libraries may crash in a forked process


class ProcessDiedError(Exception):
    """The subprocess did not finish its task; the message gives the cause."""


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
    """Call task(argument, send) in a subprocess; send(message) returns what on_message(message) returns here.

    task: a function at the top of a module; argument, messages and replies are pickled. timeout: seconds after which
    the process is killed; first_message_timeout: the same until the first message. stop: called every 0.2 s; once it
    returns true, the process is killed. preload: as in `_context`. The subprocess ends with the process that started
    it. Raises ProcessDiedError with the cause if the task raises or is killed, ProcessTimeoutError after a timeout,
    ProcessStoppedError after `stop`, and what `on_message` raises.
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
    """The way to start processes that have these modules already imported.

    They are forked from a server that has imported the modules. There is only one server, and the first call with
    modules starts it with them: further modules in later calls are not preloaded. A process without modules is a new
    interpreter instead, because it must not start the server. So is each process where a fork is not safe.
    """
    if not preload or not _FORK_IS_SAFE:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context


@contextmanager
def _pipe_of(process: BaseProcess) -> Iterator[None]:
    """Raise ProcessDiedError if the pipe is closed at the other end."""
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
    """Call function(argument, stop) for each argument, in `workers` threads.

    on_result(argument, result) is called in the caller's thread. `stop` is set at the first exception in any thread:
    running calls should then end at once. No further call begins, and the exception is raised when all have ended.
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
    if exitcode == -signal.SIGILL:
        return "this processor lacks an instruction that a library uses; TensorFlow needs AVX, make baseline does not"
    if exitcode is not None and exitcode < 0:
        return f"its process was ended by {signal.Signals(-exitcode).name}"
    return f"its process ended without an error message, with exit status {exitcode}"


def _main(task: Callable[[Any, Send], None], argument: Any, there: Connection) -> None:
    gc.freeze()  # else a garbage collection would copy the memory of objects from before the fork
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
