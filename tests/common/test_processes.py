"""A task in a subprocess: replies come back, and whatever ends it is reported and ends nothing else."""

import multiprocessing
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
from digits.common.processes import (
    ProcessDiedError,
    ProcessStoppedError,
    ProcessTimeoutError,
    Send,
    run_in_subprocess,
    run_in_threads,
)

pytestmark = pytest.mark.slow

LONG = 600.0  # seconds: no machine is so slow
FOR_EVER = 3600.0  # seconds of sleep, which no test waits for
FORKED = ["digits.common.processes"]  # to be preloaded, so that a process starts soon


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


def aborts(text: str, send: Send) -> None:
    os.write(2, text.encode())
    os.abort()


def says_and_ends(text: str, send: Send) -> None:
    print(text, file=sys.stderr)
    os.write(2, b"a notice of a library\n")


# as TensorFlow does on a processor without AVX, C++ without memory, and what ends with a list of calls
NO_AVX = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "F0000 00:00:1764355200.123456    4242 cpu_feature_guard.cc:133] The TensorFlow library was compiled to use AVX "
    "instructions, but these aren't available on your machine.\n"
    "*** SIGABRT received by PID 4242 ***\n    @     0x7f3c00000000  (unknown)\n"
)
BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
# as TensorFlow does where a library of it is not whole
NATIVE = ImportError(
    'Traceback (most recent call last):\n  File "pywrap_tensorflow.py", line 73, in <module>\n'
    "    from tensorflow.python._pywrap_tensorflow_internal import *\n"
    "ImportError: libtensorflow_framework.so.2: file too short\n\n\nFailed to load the native TensorFlow runtime.\n"
    "See https://www.tensorflow.org/install/errors for some common causes and solutions.\n"
)


def test_messages_are_answered_from_another_process() -> None:
    received: list[Any] = []

    def reply(message: Any) -> int:
        received.append(message)
        return int(message[1])

    run_in_subprocess(sums, [1, 2, 3], reply, LONG)
    assert [total for _, total in received] == [1, 3, 6]
    assert {pid for pid, _ in received} != {os.getpid()}


def test_a_script_is_not_run_again_by_its_subprocesses(tmp_path: Path) -> None:
    """Else whoever predicts in a script would need `if __name__ == "__main__"`."""
    script, own = tmp_path / "script.py", Path(__file__)
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(own.parent)!r})\nfrom {own.stem} import FORKED, run_in_subprocess, sums\n"
        "for preload in ((), FORKED):\n"
        "    run_in_subprocess(sums, [1], lambda message: print(message[1]), 600, preload)\n"
        "print(sys.modules['__main__'].__file__)\n"
    )
    shown = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (0, f"1\n1\n{script}\n"), shown.stderr


@pytest.mark.parametrize(
    ("task", "argument", "message"),
    [
        (raises, UserError("the loss became nan"), "^the loss became nan$"),
        (raises, ValueError("a\nb"), "^ValueError: a b$"),
        (raises, MemoryError(), "MemoryError"),
        (raises, NATIVE, r"^ImportError: libtensorflow_framework\.so\.2: file too short$"),
        (raises, ImportError("no name 'f' in module 'g'"), "^ImportError: no name 'f' in module 'g'$"),
        (is_killed, signal.SIGILL, "SIGILL: this processor lacks instructions"),
        (is_killed, signal.SIGBUS, "SIGBUS, most often because a disk or /dev/shm is full"),
        (aborts, NO_AVX, r"^its process was ended by SIGABRT: The TensorFlow .* AVX instructions, .* your machine\.$"),
        (aborts, BAD_ALLOC, r"SIGABRT: what\(\):  std::bad_alloc$"),
        (aborts, "a\n\nsomething in the end\n", "SIGABRT: something in the end$"),
        (aborts, "x" * 2**20 + "\nCUDA_ERROR_LAUNCH_FAILED: a launch failed\n", "SIGABRT: CUDA_ERROR_LAUNCH_FAILED"),
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
        run_in_subprocess(hangs, FOR_EVER, lambda _: None, LONG, FORKED, first_message_timeout=1)
    started = time.monotonic()
    run_in_subprocess(sums, [1], lambda _: 0, LONG, FORKED)
    limit = max(1.0, 5 * (time.monotonic() - started))  # for the first message, on this machine
    received: list[Any] = []

    def slow(message: Any) -> int:
        received.append(message)
        time.sleep(limit + 0.5 if len(received) == 1 else 0.0)  # longer than the first may take, but after it
        return 0

    run_in_subprocess(sums, [1, 2], slow, LONG, FORKED, first_message_timeout=limit)
    assert len(received) == 2


def test_it_can_be_stopped_while_it_sends_nothing() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(ProcessStoppedError, match="was stopped"):
        run_in_subprocess(hangs, FOR_EVER, print, inf, stop=stop.is_set)


@pytest.mark.parametrize("error", [KeyError, ConnectionResetError, BrokenPipeError, EOFError])
def test_what_fails_here_ends_the_task_there_and_is_not_taken_for_its_death(error: type[Exception]) -> None:
    task: list[int] = []

    def fail(message: Any) -> Any:
        task.append(message[0])
        raise error("here")

    with pytest.raises(error, match="here"):
        run_in_subprocess(sums, [1, 2], fail, LONG)
    assert not _lives(task[0])


def test_what_dies_before_its_reply_is_reported() -> None:
    def end_it(message: Any) -> int:
        os.kill(message[0], signal.SIGKILL)
        while message[0] in [child.pid for child in multiprocessing.active_children()]:
            time.sleep(0.01)
        return 0

    with pytest.raises(ProcessDiedError, match="was killed"):
        run_in_subprocess(sums, [1, 2], end_it, LONG)


def test_python_is_heard_and_libraries_only_if_they_end_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    run_in_subprocess(says_and_ends, "a warning", print, LONG)
    assert capfd.readouterr().err == "a warning\n"


ENDS_THE_SERVER = """
import sys
from digits.common.processes import ProcessDiedError, run_in_subprocess

def imports(name, send):
    __import__(name)
    send("done")

if __name__ == "__main__":
    for _ in range(2):
        try:
            run_in_subprocess(imports, sys.argv[1], print, 3600, sys.argv[1:])
        except ProcessDiedError as error:
            print(error)
"""


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        ("import os\nos.kill(os.getpid(), 4)", "its process was ended by SIGILL: this processor lacks instructions"),
        ("import os\nos.write(2, b'lib.cc:1] no driver')\nos.abort()", "its process was ended by SIGABRT: no driver"),
        ("raise AttributeError('the package is\\ndamaged')", "AttributeError: the package is damaged"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_what_a_preloaded_module_does_is_reported_too(module: str, cause: str, tmp_path: Path) -> None:
    """Although it ends the server that processes are forked from."""
    (tmp_path / "fatal.py").write_text(module)
    (tmp_path / "script.py").write_text(ENDS_THE_SERVER)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(tmp_path / "script.py"), "fatal"]
    shown = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert [line.startswith(cause) for line in shown.stdout.splitlines()] == [True, True]


PRELOADED = """
import sys
from digits.common.processes import run_in_subprocess

def loaded(name, send):
    send(name in sys.modules)

if __name__ == "__main__":
    for modules in sys.argv[1:]:
        run_in_subprocess(loaded, "marker", print, 3600, modules.split())
"""


@pytest.mark.parametrize("calls", [("", "marker"), ("marker", "", "marker"), ("other marker", "", "other marker")])
def test_modules_are_preloaded_whatever_was_called_before(calls: tuple[str, ...], tmp_path: Path) -> None:
    """In a new process, which has started no server yet."""
    for name in ("marker", "other"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "script.py").write_text(PRELOADED)
    command = [sys.executable, str(tmp_path / "script.py"), *calls]
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str("marker" in call) for call in calls]


TASKS = """
import os

imported_by = os.getpid()

def task(argument, send):
    send(imported_by == os.getppid())

def of_job(argument, place, send):
    task(argument, send)
"""
STARTS = """
import sys
from pathlib import Path
from digits.common.executors import Job, Place, Processes, run_job
from digits.common.processes import run_in_subprocess
from tasks import of_job, task

if __name__ == "__main__":
    for modules in ((), ("marker",)):
        if sys.argv[1] == "job":
            run_job(Processes([None]), Job(of_job, None, Place(Path()), modules), print, lambda: False)
        else:
            run_in_subprocess(task, None, print, 3600, modules)
"""


@pytest.mark.parametrize("kind", ["task", "job"])
def test_the_module_of_a_task_is_preloaded_with_others(kind: str, tmp_path: Path) -> None:
    """By the server, the parent of the process, in place of each process."""
    (tmp_path / "marker.py").touch()
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "script.py").write_text(STARTS)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(tmp_path / "script.py"), kind]
    shown = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "True"]


def parent(_: None, send: Send) -> None:
    send(os.getppid())


@pytest.mark.parametrize("safe", [True, False])
def test_no_process_is_forked_where_that_is_not_safe(safe: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked one is a child of the server, one with an interpreter of its own is a child of this process."""
    monkeypatch.setattr("digits.common.processes._FORK_IS_SAFE", safe)
    received: list[int] = []
    run_in_subprocess(parent, None, received.append, LONG, FORKED)
    assert (received != [os.getpid()]) is safe


def test_the_first_failure_in_a_thread_ends_what_the_others_wait_for() -> None:
    """And comes out itself; what had not begun does not begin."""
    begun: list[str] = []

    def work(name: str, stop: threading.Event) -> None:
        begun.append(name)
        if name == "fails":
            raise OSError("too many open files")
        run_in_subprocess(hangs, FOR_EVER, print, inf, stop=stop.is_set)

    with pytest.raises(OSError, match="too many open files"):
        run_in_threads(work, ["hangs", "fails", "waits", "waits too"], 2)
    assert {"hangs", "fails"} <= {*begun} < {"hangs", "fails", "waits", "waits too"}


def test_a_failure_of_who_takes_the_results_ends_the_threads_too() -> None:
    def work(seconds: float, stop: threading.Event) -> float:
        if seconds:
            run_in_subprocess(hangs, seconds, print, inf, stop=stop.is_set)
        return seconds

    def take(_: float, result: float) -> None:
        raise BrokenPipeError(f"nobody reads {result}")

    with pytest.raises(BrokenPipeError, match=r"nobody reads 0\.0"):
        run_in_threads(work, [0.0, FOR_EVER], 2, take)


def test_results_of_threads_are_taken_with_what_they_are_of() -> None:
    taken: dict[int, int] = {}
    run_in_threads(lambda number, _: number**2, range(5), 2, taken.__setitem__)
    assert taken == {number: number**2 for number in range(5)}


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


def interrupts_itself(_: None, send: Send) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    send("still here")


@pytest.mark.parametrize("preload", [[], FORKED])
def test_interruptions_are_for_the_process_that_started_it(preload: list[str]) -> None:
    """A terminal sends Ctrl-C to both."""
    received: list[str] = []
    run_in_subprocess(interrupts_itself, None, received.append, LONG, preload)
    assert received == ["still here"]


LEAVING = """
import threading, time
from digits.common.processes import run_in_subprocess

def task(_, send):
    send("ready")
    time.sleep(3600)

if __name__ == "__main__":
    ready = threading.Event()
    arguments = task, None, lambda _: ready.set(), 3600
    threading.Thread(daemon=True, target=run_in_subprocess, args=arguments).start()
    ready.wait()
"""


def test_no_process_waits_at_its_exit_for_one_that_it_started(tmp_path: Path) -> None:
    (script := tmp_path / "leaving.py").write_text(LEAVING)
    subprocess.run([sys.executable, str(script)], timeout=60, check=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_temporary_folder_whose_path_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    folder.mkdir()
    code = "from digits.common.processes import run_in_subprocess as run; run(print, None, print, 60, ['json'])"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    message = (
        f"UserError: {folder}: this path is too long for a socket; type: export TMPDIR=/tmp, then the same command"
    )
    assert ended.stderr.strip().endswith(message)
