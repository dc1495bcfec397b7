"""The fits of one trial: one rung after the other, each fit from new weights, all in one subprocess.

All fits of a rung take the same time, whatever they train, so a faster network trains on more images.
"""

from dataclasses import dataclass, replace
from math import log
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from digits.common.executors import Place
from digits.common.processes import Send
from digits.data.dataset import Dataset, load_dataset
from digits.evaluation.calibration import at_temperature, best_temperature
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import NO_EARLY_STOPPING, Classifier, TaskSpec, Within, build
from digits.training.crossval import fit_on
from digits.training.timing import UNSURE

_JUDGED = 2500  # images of a fold's valid part that are enough to judge a trial by, after its first and shortest fit
_PREDICTING = 0.5  # most of a fit's seconds that are kept for predictions
_PREPARING = 1 / 3  # most of a fit's seconds in which the images of an MLP are prepared
_SAMPLE = 500  # images that show how long this takes
_RUNGS = 4  # at most


@dataclass(frozen=True)
class Pace:
    """How fast a model is fitted.

    start, predict: seconds to start, and to predict a fold's valid part. images_per_second: trained on.
    """

    start: float
    predict: float
    images_per_second: float

    def images(self, seconds: float) -> int:
        """Images that a fit of so many seconds trains on, each as often as it is seen; at least one."""
        return max(1, round((seconds - self.start - self.predict) * self.images_per_second))

    def seconds(self, images: float) -> float:
        """Seconds of a fit that trains on so many images, and of its predictions."""
        return self.start + images / self.images_per_second + self.predict


@dataclass(frozen=True)
class Task:
    """What is fitted and evaluated.

    model: parameters, with `kind`. fold: evaluated on its valid part, trained on the other folds. rungs: seconds of
    each fit with its predictions, ascending. pace: what is expected.
    """

    model: dict[str, Any]
    normalise: str
    seed: int
    fold: int
    rungs: tuple[float, ...]
    pace: Pace


def rungs(longest: float, shortest: float, reduction_factor: int) -> tuple[float, ...]:
    """Seconds of the rungs, ascending from `shortest` or more to `longest`.

    Each has about `reduction_factor` times as many as the one below, and there are _RUNGS at most.
    """
    steps = min(round(log(longest / shortest, reduction_factor)), _RUNGS - 1) if longest > shortest else 0
    lowest = max(shortest, longest / reduction_factor**steps)
    return (*(lowest * (longest / lowest) ** (step / steps) for step in range(steps)), longest)


def first_step(valid: int) -> int:
    """The first fit of several is judged by one in so many of a fold's `valid` images."""
    return max(1, valid // _JUDGED)


def evaluate(task: Task, place: Place, report: Send) -> None:
    """Fit and evaluate a task, in a subprocess; report(result) returns after each rung whether to continue.

    result: rung, its number from 0; epochs, a fraction where not all images were seen; accuracy and log_loss on the
    fold's valid part; seconds of fitting and predicting. The log loss, in nats, is taken at the temperature that is
    best for these images: how sure a model should be is settled later. Each fit runs its learning-rate schedule to the
    end, so its accuracy is that of a complete fit of so many seconds. The highest rung alone has TTA, because after a
    short fit a network is unsure of most images. The lowest of several rungs is judged by _JUDGED images or some more:
    on a slow machine to predict all would take longer than to learn.
    """
    started, data, views = perf_counter(), load_dataset(place.data), task.model.get("tta", [])
    valid, rows = data.valid_rows(task.fold), data.train_rows(task.fold)
    fits = (_MlpFits if task.model["kind"] == "mlp" else _NetworkFits)(task, data)
    pace = fits.pace
    with threadpool_limits(task.model.get("threads", 1)):
        for rung, seconds in enumerate(task.rungs):
            begun, last = perf_counter(), rung == len(task.rungs) - 1
            tta, step = views if last else [], 1 if rung or last else first_step(len(valid))
            images, labels = data.images[valid[::step]], np.asarray(data.labels)[valid[::step]]
            expected = replace(pace, predict=pace.predict / step * (1 + UNSURE * len(tta)))
            model = task.model | ({"tta": tta} if views else {})
            fitted, seen = fits.fit(model, seconds - (begun - started), expected)
            ready = perf_counter()
            probabilities = fitted.predict_proba(images)
            ended = perf_counter()
            training = max(ready - begun - pace.start, (ready - begun) / 2)
            predicting = min((ended - ready) * step, _PREDICTING * task.rungs[-1])
            pace = replace(pace, predict=predicting, images_per_second=seen / training)
            result = {
                "rung": rung,
                "epochs": seen / len(rows),
                "accuracy": accuracy(probabilities, labels).value,
                "log_loss": log_loss(at_temperature(probabilities, best_temperature(probabilities, labels)), labels),
                "seconds": ended - started,
            }
            if not report(result):
                return
            started = perf_counter()


class _NetworkFits:
    """Fits of a network. pace: what is expected of them."""

    def __init__(self, task: Task, data: Dataset):
        self.task, self.data, self.pace = task, data, task.pace

    def fit(self, model: dict[str, Any], seconds: float, pace: Pace) -> tuple[Classifier, int]:
        """A model fitted for so many seconds, its predictions included, and the images that it was trained on."""
        fitted: Any = self._fit(self.data.train_rows(self.task.fold), model | NO_EARLY_STOPPING, seconds, pace)
        return fitted, fitted.images_seen_

    def _fit(self, rows: NDArray[np.int64], model: dict[str, Any], seconds: float, pace: Pace) -> Classifier:
        within = Within(max(seconds - pace.predict, (1 - _PREDICTING) * seconds), pace.images(seconds))
        return fit_on(self.data, rows, rows[:0], model, self.task.normalise, self.task.seed, within=within)


class _MlpFits(_NetworkFits):
    """Fits of an MLP, whose images are prepared first: to deskew them may take longer than to learn from them."""

    def __init__(self, task: Task, data: Dataset):
        super().__init__(task, data)
        self._prepare = _preparing(task, data)
        valid = len(data.valid_rows(task.fold))
        self.pace = replace(task.pace, predict=task.pace.predict + self._prepare * valid)

    def fit(self, model: dict[str, Any], seconds: float, pace: Pace) -> tuple[Classifier, int]:
        """As for a network, from as many different images as are seen at this pace, and one of each class at least."""
        rows = np.random.default_rng(self.task.seed).permutation(self.data.train_rows(self.task.fold))
        firsts = np.unique(np.asarray(self.data.labels)[rows], return_index=True)[1]
        prepared = int(min(pace.images(seconds), _PREPARING * seconds / self._prepare))
        rows = np.concatenate([rows[firsts], np.delete(rows, firsts)])[: max(self.data.classes, prepared)]
        fitted: Any = self._fit(rows, model, seconds, pace)
        return fitted, fitted[-1].images_seen_


def _preparing(task: Task, data: Dataset) -> float:
    """Seconds in which an image is prepared for an MLP."""
    images = data.images[data.train_rows(task.fold)[:_SAMPLE]]
    model: Any = build(task.model, TaskSpec(data.image_shape, data.classes, task.normalise, data.channels), task.seed)
    with threadpool_limits(1):
        steps = model[:-1].fit(images)
        started = process_time()
        steps.transform(images)
        return max(1e-9, process_time() - started) / len(images)
