"""Fitted models, applied: the probabilities of new images by the finished units of runs."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, Send, run_in_subprocess, run_in_threads
from digits.common.sealed import intact, read_json
from digits.models import Classifier, TaskSpec, family, load
from digits.training.crossval import preload
from digits.training.runs import RunSpec


@dataclass(frozen=True)
class FittedUnit:
    """A finished fit. folder: of the unit, in that of its run. spec: of the run."""

    folder: Path
    spec: RunSpec

    @property
    def title(self) -> str:
        """The run's name and the unit's, for people."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def model(self, about: dict[str, Any]) -> Classifier:
        """The fitted model. about: of the data set that it was fitted on, see `Dataset`."""
        height, width = about["image_shape"]
        task = TaskSpec((height, width), about["classes"], self.spec.normalise, about["channels"])
        return load(self.spec.model, task, self.folder)


def fitted_units(run: Path, names: Sequence[str]) -> list[FittedUnit]:
    """The units of these names in the folder of a run. Raises UserError if one is missing or damaged."""
    spec = read_json(run / "run.json")
    for name in names:
        if spec is None or not intact(run / name, "is left out"):
            raise UserError(f"{run.name}/{name}, which this needs, is missing or damaged; type: make submit")
    assert spec is not None
    return [FittedUnit(run / name, RunSpec(**spec)) for name in names]


def predict_units(
    units: Sequence[FittedUnit],
    about: dict[str, Any],
    images: NDArray[np.uint8],
    workers: int = 1,
    on_unit: Callable[[FittedUnit], Any] = lambda _: None,
) -> NDArray[np.float32]:
    """Probabilities, (units, n, classes), of images, uint8 (n, height * width * channels).

    For the images that a unit has predicted after its fit they are the same bits. Each unit is loaded in a subprocess,
    because TensorFlow's number of threads is that of a process. workers: units at a time; 0: as many as have room for
    their threads. on_unit: called after each. Raises UserError if a process is killed.
    """
    found = np.empty((len(units), len(images), about["classes"]), np.float32)
    modules = preload(*(unit.spec.model["kind"] for unit in units))

    def done(number: int, probabilities: NDArray[np.float32]) -> None:
        found[number] = probabilities
        on_unit(units[number])

    threads = max((unit.spec.model.get("threads", 1) for unit in units), default=1)
    apply = partial(_apply_in_subprocess, units, about, images, modules)
    run_in_threads(apply, range(len(units)), workers or max(1, (os.cpu_count() or 1) // max(1, threads)), done)
    return found


def _apply_in_subprocess(
    units: Sequence[FittedUnit],
    about: dict[str, Any],
    images: NDArray[np.uint8],
    modules: Sequence[str],
    number: int,
    stop: Event,
) -> NDArray[np.float32]:
    received: list[NDArray[np.float32]] = []
    try:
        task = units[number], about, images
        run_in_subprocess(_apply, task, received.append, inf, modules, stop=stop.is_set)
    except ProcessDiedError as error:
        raise UserError(f"{units[number].title} could not predict: {error}") from None
    return received[0]


def _apply(task: tuple[FittedUnit, dict[str, Any], NDArray[np.uint8]], send: Send) -> None:
    unit, about, images = task
    family(unit.spec.model["kind"])  # a library that is loaded later would not be limited to one thread
    networks = "threads" in unit.spec.model  # as in the fits, for the same bits
    with threadpool_limits(None if networks else 1):
        send(unit.model(about).predict_proba(images).astype(np.float32))
