"""The workers of a Dask cluster as an executor: each of their threads is a slot.

Dask carries orders, events and results, and notices who has gone; which worker gets an order is decided here, so that
the plan knows how fast it is. An order of a worker that has gone is given to another one.
"""

import logging
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from json import JSONDecodeError, loads
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import Client, Future

from digits.cluster.packing import Files, name_of, packed, place
from digits.cluster.worker import Order, Report, about, answer, carry_out
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Job, Shared, Slot
from digits.common.processes import ProcessDiedError, ProcessStoppedError

_CONNECT = 10.0  # seconds until a scheduler must have answered
_WITHOUT_WORKERS = 60.0  # seconds that a command waits for workers
_POLL_INTERVAL = 0.5  # seconds between two checks of `stop`
_LOOK_INTERVAL = 1.0  # seconds between two looks at the list of workers
_LOSSES = 3  # workers that may be lost with one job before it is taken for the cause
_GOES_ON = "what is finished is kept, and the same command goes on"
_UNEQUAL = "install the same there, best from the same lock file"


@dataclass(frozen=True)
class Member:
    """A worker that is used. address: its own. threads: jobs at a time. machine: see `training.device.this_machine`."""

    address: str
    threads: int
    machine: Mapping[str, Any]

    @property
    def host(self) -> str:
        """The computer that it is on."""
        return urlsplit(self.address).hostname or self.address


@dataclass
class _Running:
    """An order that a worker has. told: what is heard of it; None: that it has ended, or its worker has."""

    address: str
    told: "SimpleQueue[tuple[Any, Mapping[str, bytes]] | None]" = field(default_factory=SimpleQueue)
    future: "Future[Report] | None" = None


class Cluster:
    """An open connection to a cluster; an `Executor`.

    address: of the scheduler, or of the file that it has written. networks: whether TensorFlow must be on the workers.
    Raises UserError if no scheduler answers, if it has no workers, or if one of them cannot be used.
    """

    def __init__(self, address: str, networks: bool, console: Console):
        self.address, self._networks, self._console = _resolved(address), networks, console
        self.slower: dict[str, float] = {}  # by host: seconds of a fit, as a multiple of the mean
        self._members: dict[str, Member] = {}
        self._refused: set[str] = set()
        self._free = Shared[Member]()
        self._running: dict[str, _Running] = {}
        self._arrays: dict[str, Future[Files]] = {}  # by name
        self._has: set[tuple[str, str]] = set()  # addresses of workers, and names of the arrays that they have
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._topic, self._gone, self._alone_since = f"digits-{uuid4().hex}", False, monotonic()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is said here, in a line
        try:
            self.client = Client(self.address, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(
                f"CLUSTER={address}: no scheduler answers: {_line(error)}; correct the address, or type make cluster, "
                "which starts one here"
            ) from None
        try:
            self._check_scheduler()
            with console.status("looking at the workers of the cluster"):
                self.client.wait_for_workers(1, timeout=_WITHOUT_WORKERS)
            if faults := self._admit(self.client.nthreads()):
                raise UserError("\n".join(dict.fromkeys(faults)))
            self.client.subscribe_topic(self._topic, self._hear)
        except TimeoutError:
            self.close()
            raise UserError(f"{self.address}: it has no workers; start some: dask worker {self.address}") from None
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._look, daemon=True).start()

    @property
    def members(self) -> list[Member]:
        """The workers that are used now, in order of their addresses."""
        with self._lock:
            return sorted(self._members.values(), key=lambda member: member.address)

    @property
    def slots(self) -> int:
        """Jobs that run at a time."""
        return sum(member.threads for member in self.members)

    @property
    def threads(self) -> int:
        """As in `Executor`: half as many again, for workers that join later."""
        return self.slots + max(8, self.slots // 2)

    @contextmanager
    def slot(self, stop: Callable[[], bool]) -> Iterator[Slot]:
        """As `Executor.slot`."""
        slot = _WorkerSlot(self, self.take(stop))
        try:
            yield slot
        finally:
            self._free.put(slot.member)

    def take(self, stop: Callable[[], bool]) -> Member:
        """A worker with a free thread. Raises UserError if the cluster has gone, ProcessStoppedError after `stop`."""

        def ended() -> bool:
            self.check()
            return stop()

        while not self.has(member := self._free.take(ended)):
            pass  # it has gone since it was free
        return member

    def has(self, member: Member) -> bool:
        """Whether a worker is still there."""
        return member.address in self._members

    def check(self) -> None:
        """Raise UserError if the scheduler has gone, or if it had no workers for a minute."""
        if self._gone:
            raise UserError(f"{self.address}: the scheduler has gone; {_GOES_ON} once it is there again")
        if not self._members and monotonic() - self._alone_since > _WITHOUT_WORKERS:
            raise UserError(f"{self.address}: all workers have gone; {_GOES_ON} once there are some again")

    def submit(self, function: Callable[..., Any], *arguments: Any, member: Member, key: str) -> "Future[Any]":
        """Let a worker call a function."""
        found: Future[Any] = self.client.submit(
            function, *arguments, key=key, workers=[member.address], pure=False, allow_other_workers=False
        )
        return found

    def arrays(self, folder: Path, member: Member) -> tuple[str, "Future[Files] | None"]:
        """Name of the arrays of a folder, and they themselves unless a worker has them.

        They are sent once, to one worker, and the others get them from each other.
        """
        with self._lock:
            name = name_of(folder)
            if (member.address, name) in self._has:
                return name, None
            if name not in self._arrays or self._arrays[name].status != "finished":
                key = f"{self._topic}-{uuid4().hex}"
                self._arrays[name] = self.client.scatter({key: packed(folder)})[key]
            return name, self._arrays[name]

    def run(
        self, job: Job, member: Member, on_message: Callable[[Any], Any], stop: Callable[[], bool]
    ) -> Report | None:
        """Carry out a job on a worker; None if the worker has gone. Raises what `Slot.run` raises."""
        key, running = f"{self._topic}-{uuid4().hex}", _Running(member.address)
        name, arrays = self.arrays(job.place.data, member)
        needs = {each: packed(job.place.results / each) for each in job.needs if (job.place.results / each).is_dir()}
        order = Order(job, name, needs, job.place.end - monotonic(), self._topic)
        self._running[key] = running
        try:
            running.future = self.submit(carry_out, order, arrays, member=member, key=key)
            running.future.add_done_callback(lambda _: running.told.put(None))
            while event := self._next(running, stop):
                message, logs = event
                _append(logs, job.place.results)
                reply = on_message(message)
                if job.asks:
                    self.client.run(answer, key, reply, workers=[member.address], on_error="ignore")
            report: Report = running.future.result()
        except CancelledError as error:
            self._gone |= getattr(error, "reason", "") == "scheduler-connection-lost"
            self.check()
            return None
        except (ProcessDiedError, UserError):
            raise
        except Exception as error:  # of Dask, or of the worker outside the job
            self.check()
            if not self.has(member):
                return None
            raise ProcessDiedError(f"{member.address}: {_line(error)}") from None
        finally:
            del self._running[key]
            if running.future and not self._gone:
                with suppress(Exception):
                    running.future.cancel()  # kills the job if it still runs
        self._has.add((member.address, name))
        return report

    def close(self) -> None:
        """End the connection; what still runs for it is killed."""
        self._closed.set()
        with suppress(Exception):
            self.client.close(timeout=_CONNECT)

    def _next(self, running: _Running, stop: Callable[[], bool]) -> Any:
        while True:
            if stop():
                raise ProcessStoppedError("was stopped")
            with suppress(Empty):
                return running.told.get(timeout=_POLL_INTERVAL)

    def _hear(self, event: tuple[float, bytes]) -> None:
        key, message, logs = pickle.loads(event[1])
        if running := self._running.get(key):
            running.told.put((message, logs))

    def _look(self) -> None:
        """Notice who joins and who leaves, until the end."""
        while not self._closed.wait(_LOOK_INTERVAL):
            try:
                now = self.client.nthreads()
                left = self._members.keys() - now.keys()
                if new := {address: now[address] for address in now.keys() - self._members.keys() - self._refused}:
                    for fault in dict.fromkeys(self._admit(new)):
                        self._console.warn(fault)
            except Exception:  # whatever Dask makes of a scheduler that does not answer
                if self._closed.is_set():
                    return
                self._gone, left = True, {*self._members}
            for address in left:
                with self._lock:
                    del self._members[address]
                self._alone_since = monotonic()
                if not self._gone:
                    self._console.warn(f"{address} has gone; its fits are given to other workers")
            for running in [*self._running.values()]:
                if running.address in left and running.future:
                    with suppress(Exception):
                        running.future.cancel()
                    running.told.put(None)
            if self._gone:
                return

    def _check_scheduler(self) -> None:
        try:
            found = self.client.run_on_scheduler(about, False)
        except Exception as error:
            raise UserError(f"{self.address}: digits does not run there: {_line(error)}; {_UNEQUAL}") from None
        if fault := _fault(about(False), found):
            raise UserError(f"{self.address}: the scheduler has {fault}; {_UNEQUAL}")

    def _admit(self, threads: Mapping[str, int]) -> list[str]:
        """Use these workers; returns a line for each that cannot be used."""
        expected, faults = about(self._networks), list[str]()
        answers = self.client.run(about, self._networks, workers=[*threads], on_error="return")
        for address, found in answers.items():
            if isinstance(found, Exception):
                faults.append(f"{address}: digits does not run there: {_line(found)}; {_UNEQUAL}")
            elif fault := _fault(expected, found):
                faults.append(f"{address}: it has {fault}; {_UNEQUAL}")
            elif found["no children"]:
                faults.append(
                    f"{address}: its nanny forbids it to start processes; start it by dask worker --no-nanny, or with "
                    "DASK_DISTRIBUTED__WORKER__DAEMON=False before it"
                )
            else:
                member = Member(address, threads[address], found["machine"])
                with self._lock:
                    self._members[address] = member
                for _ in range(member.threads):
                    self._free.put(member)
                continue
            self._refused.add(address)
        return faults


class _WorkerSlot:
    """A thread of a worker, or of another one once that has gone."""

    def __init__(self, cluster: Cluster, member: Member):
        self._cluster, self.member = cluster, member

    @property
    def machine(self) -> str:
        """The host."""
        return self.member.host

    @property
    def slower(self) -> float:
        """As in `Slot`."""
        return self._cluster.slower.get(self.machine, 1.0)

    def run(self, job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
        """As `Slot.run`. If a job is begun again, its messages that were answered before get the same replies."""
        replies: list[Any] = []
        for _ in range(_LOSSES):
            told = 0

            def reply(message: Any) -> Any:
                nonlocal told
                told += 1
                if told > len(replies):
                    replies.append(on_message(message))
                return replies[told - 1]

            report = self._cluster.run(job, self.member, reply, stop)
            if report:
                _append(report.logs, job.place.results)
                for name, files in report.folders.items():
                    place(files, job.place.results / name)
                if report.failure:
                    raise report.failure
                return report.seconds
            if not self._cluster.has(self.member):
                self.member = self._cluster.take(stop)
        raise ProcessDiedError(f"{_LOSSES} workers have gone while they ran it")


def _resolved(address: str) -> str:
    """The scheduler's address, also of the file that it has written. Raises UserError if it is neither."""
    if "://" in address:
        return address
    try:
        return str(loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, JSONDecodeError, KeyError, TypeError):
        raise UserError(
            f"CLUSTER={address}: no address like tcp://HOST:8786, and no file by dask scheduler --scheduler-file FILE"
        ) from None


def _fault(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What differs between this machine and another one; "" if nothing does that could change a number."""
    for name in expected.keys() - {"machine", "no children", "digits"}:
        if expected[name] != found.get(name):
            return f"{name} {found.get(name)}, and this machine {expected[name]}"
    return "" if expected["digits"] == found["digits"] else "another version of digits than this machine"


def _append(logs: Mapping[str, bytes], results: Path) -> None:
    """Add to the logs of runs what a worker has logged."""
    for name, text in logs.items():
        with suppress(OSError), (results / name).open("ab") as file:
            file.write(text)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
