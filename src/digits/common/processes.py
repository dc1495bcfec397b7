"""Tasks in subprocesses: their memory is freed when they end, and a crash does not end the program."""

import atexit
import gc
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from math import inf
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from time import monotonic
from types import ModuleType
from typing import IO, Any

from digits.common.disk import refusal
from digits.common.errors import UserError
from digits.common.interrupts import withheld

Send = Callable[[Any], Any]  # sends a message to the parent process, returns its reply

_POLL_INTERVAL = 0.2  # seconds between two checks of `stop`
_STARTS = threading.Lock()  # one start at a time, as each hides the script
_EXIT_TIMEOUT = 10.0  # seconds that a process may take to exit once its pipe is closed
_FORK_IS_SAFE = sys.platform != "darwin"  # Apple's libraries may crash in a forked process
_SIGNALS = {
    signal.SIGBUS: "was ended by SIGBUS, most often because a disk or /dev/shm is full",
    signal.SIGILL: "was ended by SIGILL: this processor lacks instructions that a library was built for",
    signal.SIGKILL: "was killed, most often because memory ran out",
}
# lines of standard error that tell why a process ended, the most telling first: the last lines may be a list of calls
_TELLING = (re.compile(r"^(.* )?F\S* .*\.cc:\d+\] "), re.compile(r"what\(\):|[Ee]rror\b|CUDA_ERROR"), re.compile(r"\S"))
_TAIL = 2**16  # bytes of standard error that are looked at


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
    returns true, the process is killed. preload: as in `_context`; the task's own module is added. The subprocess ends
    with the process that started it, which alone gets interruptions. Raises ProcessDiedError with the cause if the task
    raises or is killed, ProcessTimeoutError after a timeout, ProcessStoppedError after `stop`, and what `on_message`
    raises.
    """
    here, there = multiprocessing.Pipe()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    own = {task.__module__} - {"__main__"} if preload else ()
    process = _started((*preload, *own), task, argument, there, Connection(os.dup(errors.fileno())))
    there.close()
    started, allowed = monotonic(), min(first_message_timeout, timeout)
    try:
        while (left := started + allowed - monotonic()) > 0:
            if stop():
                raise ProcessStoppedError("was stopped")
            if not here.poll(min(left, _POLL_INTERVAL)):
                continue
            with _pipe_of(process, errors):
                kind, message = here.recv()
            if kind == "done":
                return
            if kind == "failed":
                raise ProcessDiedError(message)
            reply = on_message(message)
            with _pipe_of(process, errors):
                here.send(reply)
            allowed = timeout
        raise ProcessTimeoutError(f"took longer than {allowed:.0f} s")
    finally:
        process.kill()
        process.join()
        here.close()
        errors.close()


@atexit.register
def _end_subprocesses() -> None:
    """Kill those that still run at the exit, where multiprocessing would send them SIGTERM, and wait for ever."""
    for process in multiprocessing.active_children():
        process.kill()


def _started(preload: Sequence[str], *arguments: Any) -> BaseProcess:
    try:
        return _start(preload, *arguments)
    except (EOFError, ConnectionError):  # the server has died of a module; in a process of its own that tells the cause
        return _start((), *arguments)
    except OSError as error:
        if "AF_UNIX path too long" not in str(error):
            raise
        folder = tempfile.gettempdir()
        raise UserError(
            f"{folder}: this path is too long for a socket; type: export TMPDIR=/tmp, then the same command"
        ) from None


def _start(preload: Sequence[str], *arguments: Any) -> BaseProcess:
    context = _context(preload)
    process: BaseProcess = context.Process(target=_main, args=arguments, daemon=True)
    with _without_script(arguments[0]):
        if isinstance(context, ForkServerContext):
            with withheld():
                forkserver.ensure_running()
            process.start()  # interruptions come through here, as the server may load its modules for seconds
        else:
            with withheld():
                process.start()
    return process


@contextmanager
def _without_script(task: Callable[[Any, Send], None]) -> Iterator[None]:
    """Start processes that do not run this process's script again, as multiprocessing has them do.

    So a script that predicts needs no `if __name__ == "__main__"`. A task of the script itself is found only that way.
    """
    if task.__module__ == "__main__":
        yield
        return
    with _STARTS:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


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
def _pipe_of(process: BaseProcess, errors: IO[bytes]) -> Iterator[None]:
    """Raise ProcessDiedError if the pipe is closed at the other end."""
    try:
        yield
    except (EOFError, ConnectionError):
        process.join(_EXIT_TIMEOUT)
        raise ProcessDiedError(_cause(process.exitcode, _last_words(errors))) from None


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


def _cause(exitcode: int | None, said: str) -> str:
    if exitcode is not None and exitcode < 0:
        number = signal.Signals(-exitcode)
        cause = _SIGNALS.get(number, f"was ended by {number.name}")
    else:
        cause = f"ended with{'' if said else 'out an error message, with'} exit status {exitcode}"
    return f"its process {cause}{f': {said}' if said and exitcode != -signal.SIGKILL else ''}"


def _last_words(errors: IO[bytes]) -> str:
    """The line of standard error that tells most of why a process ended; "" without any."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
    lines = errors.read().decode(errors="replace").splitlines()
    found = (line for telling in _TELLING for line in reversed(lines) if telling.search(line))
    return re.sub(r"^.*\.cc:\d+\] ", "", next(found, "")).strip()


def _in_a_line(error: Exception) -> str:
    """Type and text of an exception; of a traceback in the text, as TensorFlow's has one, only the error."""
    inner = re.findall(r"^\w+Error: .*", str(error), re.MULTILINE) if "Traceback" in str(error) else ()
    return inner[-1] if inner else f"{type(error).__name__}: {' '.join(str(error).split())}"


def _main(task: Callable[[Any, Send], None], argument: Any, there: Connection, errors: Connection) -> None:
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    os.dup2(errors.fileno(), 2)  # what libraries write below Python, most of it when they abort the process
    gc.freeze()  # else a garbage collection would copy the memory of objects from before the fork
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(message: Any) -> Any:
        there.send(("message", message))
        return there.recv()

    try:
        task(argument, send)
    except UserError as error:
        there.send(("failed", str(error)))
    except Exception as error:
        there.send(("failed", str(refusal(error) or _in_a_line(error))))
    else:
        there.send(("done", None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
