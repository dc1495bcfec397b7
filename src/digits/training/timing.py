"""Measures once how fast a network is fitted on this device, beside as many parallel fits as there will be."""

import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any

import numpy as np

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import fingerprint
from digits.common.host import processor
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, Send, run_in_subprocess, run_in_threads
from digits.common.rounds import interval
from digits.common.sealed import read_or_make
from digits.data.dataset import Dataset, load_dataset
from digits.models import NO_EARLY_STOPPING, TaskSpec, build
from digits.training.cards import use_gpu
from digits.training.crossval import preload
from digits.training.device import Device
from digits.training.remedies import explained
from digits.training.runs import RunSpec
from digits.training.schedule import Timing

_STEPS = 8  # per epoch; this many batches of 128 images are augmented together
_EPOCHS = 50  # at most; the first one contains the tracing
_ENOUGH = 5.0  # most seconds of epochs after the first; on a slow machine two epochs are enough
_WITHIN = 0.1  # relative precision of the median epoch that is enough
_PREDICTED = 1000  # images, one batch
_PREDICTIONS = 3  # of which the median counts
UNSURE = 0.1  # share of the images that get TTA; a network that is not trained yet is unsure of all of them
# Parameters whose value does not change how long an image takes; networks that differ in them alone are measured once.
_TAKE_NO_TIME = ("epochs", "min_steps", "tta", "augment", "learning_rate", "label_smoothing", "weight_decay")
_TIMEOUT = 600.0  # seconds; a few are usual


@dataclass(frozen=True)
class _Task:
    """What is sent to a subprocess. gpu: as in `cards.use_gpu`."""

    data_folder: Path
    model: dict[str, Any]
    normalise: str
    gpu: str | None = None


def measured_timing(data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console) -> Timing:
    """How long one fit of a run's network takes beside the other parallel fits of the device.

    machines: folder that keeps the timing. Raises UserError if the network cannot be fitted.
    """
    model = run.model
    decisive = {
        "processor": processor(),
        "model": {name: value for name, value in model.items() if name not in _TAKE_NO_TIME},
        "elastic": bool(model["augment"]["elastic"]),
        "tta": len(model["tta"]),
        "image": [*data.image_shape, data.channels, data.classes],
        "workers": device.parallel_fits,
        "device": device.where if device.gpus else device.name,
        "code": code_version("timing"),
    }

    def measure() -> dict[str, float]:
        short = model | {"epochs": _EPOCHS, "min_steps": 0} | NO_EARLY_STOPPING
        tasks = [_Task(data.folder, short, run.normalise, gpu) for gpu in device.workers]
        measured: list[dict[str, float]] = []
        with console.status("measuring how fast a network trains here (once, some seconds)"):
            run_in_threads(_measure_in_subprocess, tasks, len(tasks), lambda _, found: measured.append(found))
        return {part: mean(timing[part] for timing in measured) for part in measured[0]}

    return Timing(**read_or_make(machines / f"timing-{fingerprint(decisive)}.json", measure))


def _measure_in_subprocess(task: _Task, stop: threading.Event) -> dict[str, float]:
    measured: list[dict[str, float]] = []
    modules = preload(task.model["kind"])
    try:
        run_in_subprocess(_measure, task, measured.append, _TIMEOUT, modules, stop=stop.is_set)
    except ProcessTimeoutError as error:
        raise UserError(
            f"train: the speed test of {task.model['layers']} {error}; close other programs and type the same command, "
            "or choose a smaller network, as with SET=\"train.network=default train.layers='16C3 MP2 32C3 MP2 64'\""
        ) from None
    except ProcessDiedError as error:
        raise UserError(f"train: {task.model['layers']} cannot be fitted here: {explained(error)}") from None
    return measured[0]


def _measure(task: _Task, send: Send) -> None:
    """Fit short epochs of a network until their durations agree, and predict one batch; sends a Timing's fields.

    On one thread, processor time counts if it is less than the elapsed time, which contains that of other programs.
    """
    use_gpu(task.gpu)
    data = load_dataset(task.data_folder)
    batch = min(int(task.model["batch_size"]), len(data.working_rows))
    rows = data.working_rows[: batch * _STEPS]
    used = len(rows) // batch * batch  # images of each epoch
    clocks = (perf_counter, process_time) if task.model["threads"] == 1 and not task.gpu else (perf_counter,)
    ends: list[_Moment] = []

    def now() -> _Moment:
        return tuple(clock() for clock in clocks)

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        ends.append(now())
        seconds = [*map(_seconds, ends, ends[1:])]  # of all epochs except the first
        low, high = interval(seconds or [1.0])
        model.model_.stop_training = high - low <= _WITHIN * low or ends[-1][0] - ends[0][0] > _ENOUGH

    competition = TaskSpec(data.image_shape, data.classes, task.normalise, data.channels)
    started = now()
    model: Any = build(task.model, competition, 0, on_epoch)  # loads TensorFlow where processes are not forked
    model.fit(data.images[rows], data.labels[rows])
    fitted = [now()]
    images = np.resize(np.asarray(data.test_images), (_PREDICTED, data.test_images.shape[1]))
    for _ in range(_PREDICTIONS):
        model.probabilities(images)
        fitted.append(now())
    epoch = median(map(_seconds, ends, ends[1:]))
    start = max(0.0, _seconds(started, fitted[0]) - epoch * len(ends))
    alone = median(map(_seconds, fitted, fitted[1:])) / _PREDICTED
    send(asdict(Timing(start, epoch / used, alone * (1 + UNSURE * len(task.model["tta"])))))


_Moment = tuple[float, ...]  # seconds on one clock or more


def _seconds(start: _Moment, end: _Moment) -> float:
    """Seconds from start to end, on the clock that shows the fewest."""
    return min(after - before for before, after in zip(start, end, strict=True))
