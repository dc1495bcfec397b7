"""How fast a network is fitted on this device, in parallel with as many others as there will be: measured once."""

import threading
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from statistics import mean
from time import perf_counter, process_time
from typing import Any

import numpy as np

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import fingerprint, read_json, write_json
from digits.common.host import processor
from digits.common.processes import ProcessDiedError, Send, run_in_subprocess, run_in_threads
from digits.data.dataset import Dataset, load_dataset
from digits.models import NO_EARLY_STOPPING, TaskSpec, build
from digits.training.crossval import preload
from digits.training.device import Device, use_gpu
from digits.training.runs import RunSpec
from digits.training.schedule import Timing

_STEPS = 8  # per epoch; as many batches of 128 images are augmented together
_EPOCHS = 5  # at most; the first one contains the tracing
_ENOUGH = 2.0  # seconds of further epochs; on a slow machine two epochs are enough
_PREDICTED = 1000  # images, one batch
_BUSY = 0.8  # processors at most are used by a fit that other programs slow down; alone it uses one or more


@dataclass(frozen=True)
class _Task:
    """What a subprocess is sent. gpu: as of `device.use_gpu`."""

    data_folder: Path
    model: dict[str, Any]
    normalise: str
    gpu: str | None = None


def measured_timing(data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console) -> Timing:
    """How long one fit of a run's network takes, in parallel with as many others as the device has room for.

    machines: folder that the timing is kept in. Raises UserError where the network cannot be fitted.
    """
    model = run.model
    decisive = {
        "processor": processor(),
        "model": {name: value for name, value in model.items() if name not in ("epochs", "min_steps", "tta")},
        "tta": len(model["tta"]),
        "image": [*data.image_shape, data.classes],
        "workers": device.parallel_fits,
        "device": device.name,
        "code": code_version("timing"),
    }
    path = machines / f"timing-{fingerprint(decisive)}.json"
    if (known := read_json(path)) is None:
        short = model | {"epochs": _EPOCHS, "min_steps": 0} | NO_EARLY_STOPPING
        tasks = [_Task(data.folder, short, run.normalise, gpu) for gpu in device.workers]
        measured: list[_Measured] = []
        with console.waiting(f"a timing of {model['layers']}: some seconds, once"):
            run_in_threads(_measure_in_subprocess, tasks, len(tasks), lambda _, found: measured.append(found))
        known = {part: mean(timing[part] for timing, _ in measured) for part in measured[0][0]}
        write_json(path, known)
        if min(processors for _, processors in measured) < _BUSY:
            console.warn(
                f"{model['layers']} was slowed down by other programs while its speed was measured; to measure "
                f"it again once this machine is quiet, type: rm -r {machines}"
            )
    return Timing(**known)


_Measured = tuple[dict[str, float], float]  # a Timing's fields, and how many processors the fit used; inf: a GPU


def _measure_in_subprocess(task: _Task, stop: threading.Event) -> _Measured:
    measured: list[_Measured] = []
    try:
        run_in_subprocess(_measure, task, measured.append, inf, preload(task.model["kind"]), stop=stop.is_set)
    except ProcessDiedError as error:
        raise UserError(f"train: {task.model['layers']} cannot be fitted here: {error}") from None
    return measured[0]


def _measure(task: _Task, send: Send) -> None:
    """Fit a few short epochs of a network and predict one batch; sends a _Measured."""
    use_gpu(task.gpu)
    data = load_dataset(task.data_folder)
    batch = min(int(task.model["batch_size"]), len(data.working_rows))
    rows = data.working_rows[: batch * _STEPS]
    used = len(rows) // batch * batch  # images of each epoch
    ends: list[float] = []
    computed: list[float] = []  # seconds of processor time at the end of each epoch

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        ends.append(perf_counter())
        computed.append(process_time())
        model.model_.stop_training = ends[-1] - ends[0] > _ENOUGH

    model: Any = build(task.model, TaskSpec(data.image_shape, data.classes, task.normalise), 0, on_epoch)
    started = perf_counter()
    model.fit(data.images[rows], data.labels[rows])
    fitted = perf_counter()
    seconds = ends[-1] - ends[0]  # of all epochs but the first
    per_image = seconds / (len(ends) - 1) / used
    processors = inf if task.gpu else (computed[-1] - computed[0]) / seconds  # while a GPU works the processor waits
    images = np.resize(np.asarray(data.test_images), (_PREDICTED, data.test_images.shape[1]))
    model.predict_proba(images)
    per_prediction = (perf_counter() - fitted) / _PREDICTED
    start = max(0.0, fitted - started - per_image * used * len(ends))
    timing = Timing(start, per_image, per_prediction)
    send((asdict(timing), processors))
