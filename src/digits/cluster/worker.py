"""What a worker of the cluster does; all functions here are called in its process."""

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from multiprocessing import current_process
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from distributed import Status, Worker, get_worker

from digits.cluster.packing import Files, packed_below, received, unpack
from digits.common.code_version import code_version, library_version
from digits.common.console import Console
from digits.common.environment import clean
from digits.common.executors import Job, Place, Shared, call
from digits.common.fingerprints import COMPUTATIONS
from digits.common.processes import ProcessDiedError, run_in_subprocess
from digits.data.dataset import load_dataset
from digits.training.crossval import preload
from digits.training.device import Device, measured_device, this_machine
from digits.training.runs import RunSpec
from digits.training.timing import measured_timing

# for the server that jobs are forked from: it lives as long as the worker, and its first job may be no network's
_NETWORKS = preload("cnn") if find_spec("tensorflow") else ()
_ENDING = (Status.closing, Status.closed, Status.failed)
# Replies to the running jobs, by key. Calls of the client reach a job of this process only through it.
_REPLIES: dict[str, Shared[Any]] = {}


@dataclass(frozen=True)
class Order:
    """A job for a worker.

    data: name of its arrays. needs: finished folders that it reads, by name. left: seconds until its results are
    wanted. topic: of the events that tell of its progress.
    """

    job: Job
    data: str
    needs: Mapping[str, Files]
    left: float
    topic: str


@dataclass(frozen=True)
class Report:
    """How a job has ended. failure: None: well. folders: its results. logs: what its log has got since its last event.

    seconds: that it took.
    """

    failure: ProcessDiedError | None
    folders: Mapping[str, Files]
    logs: Mapping[str, bytes]
    seconds: float


def about(networks: bool) -> dict[str, Any]:
    """What must be equal on all machines: versions of Python, of libraries and of the code; and what this machine is.

    networks: whether networks are fitted, so that Keras counts.
    """
    clean(os.environ)
    counted = {name: each for name, each in COMPUTATIONS.items() if networks or "keras" not in each.libraries}
    libraries = sorted({library for each in counted.values() for library in each.libraries})
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        **{library: library_version(library) for library in libraries},
        "digits": [code_version(name) for name in counted],
        "machine": this_machine() if networks else {},
        "no children": current_process().daemon,
    }


def carry_out(order: Order, arrays: Files | None) -> Report:
    """Carry out an order in a subprocess of this worker. arrays: its data, if they are not here yet.

    The subprocess is killed when the scheduler takes the order back, as it does when the client cancels it or is gone.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    data, job, started = _data_folder(worker, order.data, arrays), order.job, monotonic()
    _REPLIES[key] = Shared()

    def taken_back() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing" or worker.status in _ENDING

    with TemporaryDirectory(prefix="fit-", dir=worker.local_directory) as folder:
        results, failure = Path(folder), None
        new_logs = _follow(results)
        for name, files in order.needs.items():
            unpack(files, _made(results / name))

        def on_message(message: Any) -> Any:
            worker.log_event(order.topic, pickle.dumps((key, message, new_logs())))
            return _REPLIES[key].take(taken_back) if job.asks else None

        task = job.task, job.argument, Place(data, results, started + order.left)
        modules = job.modules and (*job.modules, *_NETWORKS)
        try:
            run_in_subprocess(call, task, on_message, job.timeout, modules, job.first_timeout, taken_back)
        except ProcessDiedError as error:
            failure = error
        finally:
            del _REPLIES[key]
        folders = {name: files for name, files in packed_below(results).items() if name not in order.needs}
        return Report(failure, folders, new_logs(), monotonic() - started)


def answer(key: str, reply: Any) -> None:
    """Hand the reply to its last message to a running job."""
    if waiting := _REPLIES.get(key):
        waiting.put(reply)


def probe_here() -> dict[str, Any]:
    """The fields of this machine's `Device`, measured unless this worker has done it."""
    return asdict(measured_device(_machines(get_worker()), Console(plain=True)))


def time_here(data: str, run: RunSpec, device: Device, arrays: Files | None) -> dict[str, float]:
    """The fields of a network's `Timing` on this machine."""
    worker = get_worker()
    prepared = load_dataset(_data_folder(worker, data, arrays))
    return asdict(measured_timing(prepared, run, device, _machines(worker), Console(plain=True)))


def _machines(worker: Worker) -> Path:
    return Path(worker.local_directory) / "machines"


def _data_folder(worker: Worker, name: str, arrays: Files | None) -> Path:
    folder = Path(worker.local_directory) / f"data-{name}"
    if arrays is not None:
        received(arrays, name, folder)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _follow(results: Path) -> Callable[[], dict[str, bytes]]:
    """A function that returns what was added to the logs below a folder since its last call, by their path there."""
    read: dict[Path, int] = {}

    def new() -> dict[str, bytes]:
        found = {}
        for path in results.rglob("log.txt"):
            with path.open("rb") as file:
                file.seek(read.get(path, 0))
                if text := file.read():
                    found[path.relative_to(results).as_posix()] = text
                read[path] = file.tell()
        return found

    return new
