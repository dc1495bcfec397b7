"""How fast a network is fitted here, beside as many others as there will be: measured in seconds, kept for later."""

from concurrent.futures import ThreadPoolExecutor
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
from digits.common.processes import Ask, ProcessDiedError, run_in_subprocess
from digits.data.dataset import Dataset, load_dataset
from digits.models import FAMILIES, UNWATCHED, Setting, build
from digits.training.crossval import PRELOAD
from digits.training.device import Device, compute_on
from digits.training.runs import RunSpec
from digits.training.schedule import Timing

_STEPS = 8  # per epoch; of 128 images they are as many as the input makes at once
_EPOCHS = 5  # at most; the first has the tracing in it
_ENOUGH = 2.0  # seconds of further epochs; a slow machine need not be watched for longer
_SHOWN = 1000  # images predicted, one batch
_BUSY = 0.8  # of a processor at most has a fit that other programs slow down; alone it has one or more


@dataclass(frozen=True)
class _Order:
    data_folder: Path
    model: dict[str, Any]
    normalise: str
    place: str | None = None


def measured_timing(data: Dataset, run: RunSpec, device: Device, machines: Path, console: Console) -> Timing:
    """How long one fit of a run's network takes, in parallel with as many others as the device has room for.

    machines: folder in which what was found is kept. Raises UserError where the network cannot be fitted.
    """
    model = run.model
    decisive = {
        "processor": processor(),
        "model": {name: value for name, value in model.items() if name not in ("epochs", "min_steps", "tta")},
        "tta": len(model["tta"]),
        "image": [*data.image_shape, data.classes],
        "workers": device.at_once,
        "device": device.name,
        "code": code_version("timing"),
    }
    path = machines / f"timing-{fingerprint(decisive)}.json"
    if (known := read_json(path)) is None:
        short = model | {"epochs": _EPOCHS, "min_steps": 0} | UNWATCHED
        orders = [_Order(data.folder, short, run.normalise, place) for place in device.places]
        with (
            console.waiting(f"how fast {model['layers']} is here, once"),
            ThreadPoolExecutor(len(orders)) as pool,
        ):
            found = [*pool.map(_measure_in_subprocess, orders)]
        known = {part: mean(timing[part] for timing, _ in found) for part in found[0][0]}
        write_json(path, known)
        if min(processors for _, processors in found) < _BUSY:
            console.warn(
                f"{model['layers']} was slowed down by other programs while its speed was measured; for a plan of "
                f"this machine's full speed, once it is quiet: rm -r {machines}"
            )
    return Timing(**known)


_Found = tuple[dict[str, float], float]  # a timing, and how many processors the fit had; inf: it used a GPU


def _measure_in_subprocess(order: _Order) -> _Found:
    found: list[_Found] = []
    preload = (FAMILIES[order.model["kind"]], *PRELOAD)
    try:
        run_in_subprocess(_measure, order, found.append, inf, preload)
    except ProcessDiedError as error:
        raise UserError(f"train: {order.model['layers']} cannot be fitted here: {error}") from None
    return found[0]


def _measure(order: _Order, ask: Ask) -> None:
    """Fit a few small epochs of a network and predict a little; asks nothing, but tells."""
    compute_on(order.place)
    data = load_dataset(order.data_folder)
    batch = min(int(order.model["batch_size"]), len(data.working_rows))
    rows = data.working_rows[: batch * _STEPS]
    used = len(rows) // batch * batch  # of each epoch
    ends: list[float] = []
    computed: list[float] = []  # seconds of processors until then

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        ends.append(perf_counter())
        computed.append(process_time())
        model.model_.stop_training = ends[-1] - ends[0] > _ENOUGH

    model: Any = build(order.model, Setting(data.image_shape, data.classes, order.normalise), 0, on_epoch)
    started = perf_counter()
    model.fit(data.images[rows], data.labels[rows])
    fitted = perf_counter()
    watched = ends[-1] - ends[0]
    image = watched / (len(ends) - 1) / used
    processors = inf if order.place else (computed[-1] - computed[0]) / watched  # a GPU is waited for, not computed on
    shown = np.resize(np.asarray(data.test_images), (_SHOWN, data.test_images.shape[1]))
    model.predict_proba(shown)
    look = (perf_counter() - fitted) / _SHOWN
    timing = Timing(start=max(0.0, fitted - started - image * used * len(ends)), image=image, look=look)
    ask((asdict(timing), processors))
