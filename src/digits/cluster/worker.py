"""What a worker of the cluster does; all functions here are called in its process."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from multiprocessing import current_process
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from distributed import Status, get_worker

from digits.cluster.packing import Files, packed_below, received, unpack
from digits.common.code_version import code_version, library_version
from digits.common.console import Console
from digits.common.environment import clean
from digits.common.executors import Job, Place, Shared, run_here
from digits.common.fingerprints import COMPUTATIONS
from digits.common.processes import ProcessDiedError
from digits.data.dataset import load_dataset
from digits.training.crossval import preload
from digits.training.device import Device, measured_device, this_machine
from digits.training.runs import RunSpec
from digits.training.timing import measured_timing

_ENDING = (Status.closing, Status.closed, Status.failed)
# for the server that jobs are forked from: it lives as long as the worker, and its first job may be no network's
_NETWORKS = preload("cnn") if find_spec("tensorflow") else ()
# replies to the running jobs, by key: calls of the client reach a job of this process only through it
_REPLIES: dict[str, Shared[Any]] = {}


@dataclass(frozen=True)
class Order:
    """A job for a worker. data: name of its arrays. needs: folders that it reads. left: seconds until its place's end.

    topic: of the events that tell of its progress: its key, a message, and what was added to the logs.
    """

    job: Job
    data: str
    needs: Mapping[str, Files]
    left: float
    topic: str


@dataclass(frozen=True)
class Report:
    """How a job has ended. failure: None: well. folders: its results. logs: what was added since its last event."""

    failure: ProcessDiedError | None
    folders: Mapping[str, Files]
    logs: Mapping[str, bytes]
    seconds: float


def about(networks: bool) -> dict[str, Any]:
    """What this machine is, and what must be equal on all of them: versions of Python, of libraries and of the code.

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
    worker, job, started = get_worker(), order.job, monotonic()
    key, read = str(worker.get_current_task()), dict[str, int]()
    data, failure = _data_folder(order.data, arrays), None
    _REPLIES[key] = Shared()

    def taken_back() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing" or worker.status in _ENDING

    with TemporaryDirectory(prefix="fit-", dir=worker.local_directory) as folder:
        results = Path(folder)
        for name, files in order.needs.items():
            (results / name).mkdir()
            unpack(files, results / name)

        def on_message(message: Any) -> Any:
            worker.log_event(order.topic, (key, message, _new_logs(results, read)))
            return _REPLIES[key].take(taken_back) if job.asks else None

        try:
            modules = job.modules and (*job.modules, *_NETWORKS)
            run_here(replace(job, modules=modules), Place(data, results, started + order.left), on_message, taken_back)
        except ProcessDiedError as error:
            failure = error
        finally:
            del _REPLIES[key]
        folders = {name: files for name, files in packed_below(results).items() if name not in order.needs}
        return Report(failure, folders, _new_logs(results, read), monotonic() - started)


def answer(key: str, reply: Any) -> None:
    """Hand the reply to its last message to a running job."""
    if waiting := _REPLIES.get(key):
        waiting.put(reply)


def probe_here() -> dict[str, Any]:
    """The fields of this machine's `Device`, measured unless this worker has done it."""
    return asdict(measured_device(_machines(), Console(plain=True)))


def time_here(run: RunSpec, device: Device, data: str, arrays: Files | None) -> dict[str, float]:
    """The fields of a network's `Timing` on this machine."""
    prepared = load_dataset(_data_folder(data, arrays))
    return asdict(measured_timing(prepared, run, device, _machines(), Console(plain=True)))


def _machines() -> Path:
    return Path(get_worker().local_directory) / "machines"


def _data_folder(name: str, arrays: Files | None) -> Path:
    folder = Path(get_worker().local_directory) / f"data-{name}"
    if arrays is not None:
        received(arrays, name, folder)
    return folder


def _new_logs(results: Path, read: dict[str, int]) -> dict[str, bytes]:
    """What was added to the logs below a folder, by their path there. read: bytes of each that were returned before."""
    found = {}
    for path in results.rglob("log.txt"):
        name = path.relative_to(results).as_posix()
        if text := path.read_bytes()[read.get(name, 0) :]:
            found[name] = text
            read[name] = read.get(name, 0) + len(text)
    return found
