"""The fits of one trial: one rung after the other, each fit from new weights, all in one subprocess.

All fits of a rung take the same time, whatever they train, so a faster network trains on more images.
"""

from dataclasses import dataclass, replace
from math import log
from time import perf_counter, process_time
from typing import Any

import numpy as np
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

    start, predict: seconds to start, and to predict a fold's valid part. images_per_second: trained on. prepare:
    seconds in which an image is prepared for an MLP; 0 where that is part of the other figures.
    """

    start: float
    predict: float
    images_per_second: float
    prepare: float = 0.0

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
    pace = task.pace
    if task.model["kind"] == "mlp":
        prepare = _preparing(task, data)
        pace = replace(pace, predict=pace.predict + prepare * len(valid), prepare=prepare)
    with threadpool_limits(task.model.get("threads", 1)):
        for rung, seconds in enumerate(task.rungs):
            begun, last = perf_counter(), rung == len(task.rungs) - 1
            tta, step = views if last else [], 1 if rung or last else first_step(len(valid))
            images, labels = data.images[valid[::step]], np.asarray(data.labels)[valid[::step]]
            expected = replace(pace, predict=pace.predict / step * (1 + UNSURE * len(tta)))
            model, seen = _fit(
                replace(task, model=task.model | ({"tta": tta} if views else {})),
                data,
                seconds - (begun - started),
                expected,
            )
            fitted = perf_counter()
            probabilities = model.predict_proba(images)
            ended = perf_counter()
            training = max(fitted - begun - pace.start, (fitted - begun) / 2)
            predicting = min((ended - fitted) * step, _PREDICTING * task.rungs[-1])
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


def _fit(task: Task, data: Dataset, seconds: float, pace: Pace) -> tuple[Classifier, int]:
    """A model fitted for so many seconds, its predictions included, and the images that it was trained on.

    An MLP learns from as many different images as are seen at this pace: more would only have to be prepared.
    """
    rows, images, model = data.train_rows(task.fold), pace.images(seconds), task.model
    within = Within(max(seconds - pace.predict, (1 - _PREDICTING) * seconds), images)
    if task.model["kind"] == "mlp":
        rows = np.random.default_rng(task.seed).permutation(rows)
        firsts = np.unique(np.asarray(data.labels)[rows], return_index=True)[1]  # one of each class comes first
        prepared = int(min(images, _PREPARING * seconds / pace.prepare))
        rows = np.concatenate([rows[firsts], np.delete(rows, firsts)])[: max(data.classes, prepared)]
    else:
        model = model | NO_EARLY_STOPPING
    fitted: Any = fit_on(data, rows, rows[:0], model, task.normalise, task.seed, within=within)
    return fitted, (fitted[-1] if model["kind"] == "mlp" else fitted).images_seen_


def _preparing(task: Task, data: Dataset) -> float:
    """Seconds in which an image is prepared for an MLP: to deskew it may take longer than to learn from it."""
    images = data.images[data.train_rows(task.fold)[:_SAMPLE]]
    model: Any = build(task.model, TaskSpec(data.image_shape, data.classes, task.normalise, data.channels), task.seed)
    with threadpool_limits(1):
        steps = model[:-1].fit(images)
        started = process_time()
        steps.transform(images)
        return max(1e-9, process_time() - started) / len(images)
