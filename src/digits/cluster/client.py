"""The workers of a Dask cluster as an executor: each of their threads is a slot.

Dask carries orders, events and results, and notices who has gone; which worker gets an order is decided here, so that
the plan knows how fast it is. An order of a worker that has gone is given to another one.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import Future

from digits.cluster.admission import in_a_line, refusal
from digits.cluster.connection import CONNECT, connect
from digits.cluster.packing import Files, name_of, packed, place
from digits.cluster.worker import Order, Report, about, answer, carry_out
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Job, Shared, Slot
from digits.common.processes import ProcessDiedError, ProcessStoppedError

_WITHOUT_WORKERS = 60.0  # seconds that a command waits for workers
_BROUGHT = 600.0  # seconds in which a result must have come
_POLL_INTERVAL = 0.5  # seconds between two checks of `stop`
_LOOK_INTERVAL = 1.0  # seconds between two looks at the list of workers
_LOSSES = 3  # workers that may be lost with one job before it is taken for the cause
_GOES_ON = "what is finished is kept, and the same command goes on once it is there again"


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


class Cluster:
    """An open connection to a cluster; an `Executor`.

    address: of the scheduler, or of the file that it has written. networks: whether TensorFlow must be on the workers.
    slower: seconds of a fit on each host, as multiples of the mean; `machines` measures them. Raises UserError if no
    scheduler answers, if it has no workers, or if one of them cannot be used.
    """

    def __init__(self, address: str, networks: bool, console: Console):
        self._networks, self._console = networks, console
        self.slower: dict[str, float] = {}
        self._members: dict[str, Member] = {}
        self._refused: set[str] = set()
        self._free = Shared[Member]()
        # what is heard of each running order, by its key, with its worker: messages; None: it, or its worker, has ended
        self._told: dict[str, tuple[str, SimpleQueue[Any]]] = {}
        self._arrays: dict[str, Future[Files]] = {}  # by name
        self._has: set[tuple[str, str]] = set()  # addresses of workers, and names of the arrays that they have
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._topic, self._gone, self._alone_since = f"digits-{uuid4().hex}", False, monotonic()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is said here, in a line
        self.client, self.address = connect(address)
        try:
            with console.status("looking at the workers of the cluster"):
                self._admit_all()
        except BaseException:
            self.close()
            raise
        self.client.subscribe_topic(self._topic, self._hear)
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
        """As in `Executor`: half as many again as slots, for workers that join later."""
        return self.slots + max(8, self.slots // 2)

    @contextmanager
    def slot(self, stop: Callable[[], bool]) -> Iterator[Slot]:
        """As `Executor.slot`. If a worker goes, its job is done by another one; replies are not asked for again."""
        member = self._take(stop)

        def run(job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
            nonlocal member
            replies: list[Any] = []
            for _ in range(_LOSSES):
                if report := self._run(job, member, on_message, replies, stop):
                    _append(report.logs, job.place.results)
                    for name, files in report.folders.items():
                        place(files, job.place.results / name)
                    if report.failure:
                        raise report.failure
                    return report.seconds
                if member.address not in self._members:
                    member = self._take(stop)
            raise ProcessDiedError(f"{_LOSSES} workers have gone while they ran it")

        try:
            yield Slot(run, member.host, self.slower.get(member.host, 1.0))
        finally:
            self._free.put(member)

    def submit(self, member: Member, function: Callable[..., Any], *arguments: Any, key: str = "") -> "Future[Any]":
        """Let a worker call a function."""
        named: dict[str, Any] = {"key": key or f"{self._topic}-{uuid4().hex}", "pure": False}
        future: Future[Any] = self.client.submit(function, *arguments, workers=[member.address], **named)
        return future

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

    def close(self) -> None:
        """End the connection; what still runs for it is killed."""
        self._closed.set()
        with suppress(Exception):
            self.client.close(timeout=CONNECT)

    def _take(self, stop: Callable[[], bool]) -> Member:
        """A worker with a free thread. Raises UserError if the cluster has gone, ProcessStoppedError after `stop`."""

        def ended() -> bool:
            self._check()
            return stop()

        while (member := self._free.take(ended)).address not in self._members:
            pass  # it has gone since it was free
        return member

    def _check(self) -> None:
        """Raise UserError if the scheduler has gone, or if it had no workers for a minute."""
        if self._gone:
            raise UserError(f"{self.address}: the scheduler has gone; {_GOES_ON}")
        if not self._members and monotonic() - self._alone_since > _WITHOUT_WORKERS:
            raise UserError(f"{self.address}: no worker is left; {_GOES_ON}")

    def _run(
        self,
        job: Job,
        member: Member,
        on_message: Callable[[Any], Any],
        replies: list[Any],
        stop: Callable[[], bool],
    ) -> Report | None:
        """Carry out a job on a worker; None if the worker or the arrays are lost. Raises what `Slot.run` raises.

        replies: to the first messages, of an earlier attempt; appended to.
        """
        key, told, future, heard = f"{self._topic}-{uuid4().hex}", SimpleQueue[Any](), None, 0
        self._told[key] = member.address, told
        try:
            name, arrays = self.arrays(job.place.data, member)
            needs = {
                each: packed(job.place.results / each) for each in job.needs if (job.place.results / each).is_dir()
            }
            order = Order(job, name, needs, job.place.end - monotonic(), self._topic)
            future = self.submit(member, carry_out, order, arrays, key=key)
            future.add_done_callback(lambda _: told.put(None))
            while event := _next(told, stop):
                message, logs = event
                _append(logs, job.place.results)
                heard += 1
                if heard > len(replies):
                    replies.append(on_message(message))
                if job.asks:
                    self.client.run(answer, key, replies[heard - 1], workers=[member.address], on_error="ignore")
            if not future.done():
                return None
            report: Report = future.result(timeout=_BROUGHT)
            self._has.add((member.address, name))
            return report
        except CancelledError as error:
            self._gone |= getattr(error, "reason", "") == "scheduler-connection-lost"
            self._check()
            return None
        except (ProcessDiedError, UserError):
            raise
        except Exception as error:  # of Dask, or of the worker outside the job
            self._check()
            if member.address in self._members:
                raise ProcessDiedError(f"{member.address}: {in_a_line(error)}") from None
            return None
        finally:
            del self._told[key]
            if future and not self._gone:
                with suppress(Exception):
                    future.cancel()  # kills the job if it still runs

    def _hear(self, event: tuple[float, Any]) -> None:
        key, message, logs = event[1]
        if found := self._told.get(key):
            found[1].put((message, logs))

    def _look(self) -> None:
        """Notice who joins and who leaves, until the end."""
        while not self._closed.wait(_LOOK_INTERVAL) and not self._gone:
            try:
                now: Mapping[str, int] = self.client.nthreads()
            except Exception:  # whatever Dask makes of a scheduler that does not answer
                now, self._gone = {}, not self._closed.is_set()
            left = self._members.keys() - now.keys()
            for address in left:
                with self._lock:
                    del self._members[address]
                self._alone_since = monotonic()
                if now:
                    self._console.warn(f"{address} has gone; its fits are given to other workers")
            for address, told in [*self._told.values()]:
                if address in left:
                    told.put(None)
            new = {address: now[address] for address in now.keys() - self._members.keys() - self._refused}
            with suppress(Exception):  # who goes at once is not there at the next look
                for fault in dict.fromkeys(self._admit(new)):
                    self._console.warn(fault)

    def _admit_all(self) -> None:
        try:
            found: Any = self.client.run_on_scheduler(about, False)
        except Exception as error:
            found = error
        if fault := refusal(about(False), found):
            raise UserError(f"{self.address}: {fault}")
        try:
            self.client.wait_for_workers(1, timeout=_WITHOUT_WORKERS)
        except TimeoutError:
            raise UserError(f"{self.address}: it has no workers; start some: dask worker {self.address}") from None
        if faults := self._admit(self.client.nthreads()):
            raise UserError("\n".join(dict.fromkeys(faults)))

    def _admit(self, threads: Mapping[str, int]) -> list[str]:
        """Use these workers; returns a line for each that cannot be used."""
        answers = self.client.run(about, self._networks, workers=[*threads], on_error="return") if threads else {}
        expected, faults = about(self._networks) if threads else {}, list[str]()
        for address, found in answers.items():
            if fault := refusal(expected, found):
                faults.append(f"{address}: {fault}")
                self._refused.add(address)
                continue
            with self._lock:
                self._members[address] = member = Member(address, threads[address], found["machine"])
            for _ in range(member.threads):
                self._free.put(member)
        return faults


def _next(told: "SimpleQueue[Any]", stop: Callable[[], bool]) -> Any:
    while not stop():
        with suppress(Empty):
            return told.get(timeout=_POLL_INTERVAL)
    raise ProcessStoppedError("was stopped")


def _append(logs: Mapping[str, bytes], results: Path) -> None:
    """Add to the logs of runs what a worker has logged."""
    for name, text in logs.items():
        with suppress(OSError), (results / name).open("ab") as file:
            file.write(text)
