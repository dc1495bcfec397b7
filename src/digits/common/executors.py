"""Where jobs run: one small interface, and processes of this machine behind it. `digits.cluster` has workers.

A slot runs one job at a time. A caller waits for a slot, gives it a job, hears of the job's progress and gets its
results into the folder that the job names, or the cause of its failure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from digits.common.processes import ProcessStoppedError, Send, run_in_subprocess

_POLL_INTERVAL = 0.2  # seconds between two checks of `stop`


@dataclass(frozen=True)
class Place:
    """What a task is told of the machine that it runs on.

    data: folder of the prepared arrays that it reads. results: folder below which it saves sealed folders. end: time on
    `monotonic` at which its results are wanted. gpu: the GPU that it may use; None: any that it sees.
    """

    data: Path
    results: Path = Path()
    end: float = inf
    gpu: str | None = None


Task = Callable[[Any, Place, Send], None]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Job:
    """A piece of work, which is done in a process of its own.

    task: a function at the top of a module; argument: what it is given, pickled. place: where its data are and its
    results belong on this machine; a task sees those of the machine that it runs on. modules: to be loaded beforehand
    with the task's own; none: the process is a new interpreter.
    needs: names of folders below place.results that it reads. timeout, first_timeout: seconds after which it is killed,
    and seconds until its first message. asks: whether it waits for the replies to its messages.
    """

    task: Task
    argument: Any
    place: Place
    modules: Sequence[str] = ()
    needs: tuple[str, ...] = ()
    timeout: float = inf
    first_timeout: float = inf
    asks: bool = False


@dataclass(frozen=True)
class Slot:
    """Runs one job at a time.

    run(job, on_message, stop): carries out a job and returns its seconds. on_message: called with each message of the
    task; returns the reply. stop: once it returns true, the job is killed. Raises ProcessDiedError with the cause if
    the task raises or is killed, ProcessTimeoutError after a timeout, ProcessStoppedError after `stop`, and what
    `on_message` raises. machine: name of the machine that it is on. slower: seconds of a fit on it, as a multiple of
    those that the plan expects.
    """

    run: Callable[[Job, Callable[[Any], Any], Callable[[], bool]], float]
    machine: str = ""
    slower: float = 1.0


class Executor(Protocol):
    """Has slots, as many as fits can run in parallel."""

    @property
    def threads(self) -> int:
        """Number of callers that may wait for its slots: as many as it has, or more where it may get further ones."""

    def slot(self, stop: Callable[[], bool]) -> AbstractContextManager[Slot]:
        """Wait for a slot, and keep it until the end of the block. Raises ProcessStoppedError once `stop` is true."""


class Shared(Generic[Item]):
    """Items that threads take and give back; who has waited longest gets the next one."""

    def __init__(self, items: Iterable[Item] = ()):
        self._items, self._waiting, self._changed = deque(items), deque[object](), Condition()

    def put(self, item: Item) -> None:
        """Give an item back, or a new one."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def take(self, stop: Callable[[], bool]) -> Item:
        """Wait for an item. stop: called every 0.2 s. Raises ProcessStoppedError once it is true, or what it raises."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while not stop():
                    if self._items and self._waiting[0] is ticket:
                        return self._items.popleft()
                    self._changed.wait(_POLL_INTERVAL)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        raise ProcessStoppedError("was stopped")


class Processes:
    """Runs jobs in subprocesses. gpus: the GPU of each slot, for `training.cards.use_gpu`; None: any."""

    def __init__(self, gpus: Sequence[str | None]):
        self.threads = len(gpus)
        self._free = Shared(gpus)

    @contextmanager
    def slot(self, stop: Callable[[], bool]) -> Iterator[Slot]:
        """As `Executor.slot`."""
        gpu = self._free.take(stop)

        def run(job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
            return run_here(job, replace(job.place, gpu=gpu), on_message, stop)

        try:
            yield Slot(run)
        finally:
            self._free.put(gpu)


def run_here(job: Job, place: Place, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
    """Carry out a job in a subprocess of this process, at another place than its own; as `Slot.run`."""
    started, task = monotonic(), (job.task, job.argument, place)
    modules = (*job.modules, job.task.__module__) if job.modules else ()
    run_in_subprocess(_call, task, on_message, job.timeout, modules, job.first_timeout, stop)
    return monotonic() - started


def run_job(executor: Executor, job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> None:
    """Carry out a job on the next slot that is free; raises what `Slot.run` raises."""
    with executor.slot(stop) as slot:
        slot.run(job, on_message, stop)


def _call(task: tuple[Task, Any, Place], send: Send) -> None:
    function, argument, place = task
    function(argument, place, send)
