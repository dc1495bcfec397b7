"""Registry of model families: from a spec, a task and a seed to a classifier with `fit` and `predict_proba`.

A family is a module with `build`, `save` and `load` for one or more kinds. It is imported when one of its models is
built or loaded, so that scikit-learn's models never load TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

FAMILIES = {
    "mlp": "digits.models.baselines.mlp",
    "augmented-mlp": "digits.models.baselines.augmented_mlp",
    "logistic": "digits.models.baselines.classical",
    "knn": "digits.models.baselines.classical",
    "svm": "digits.models.baselines.classical",
    "extra-trees": "digits.models.baselines.classical",
    "cnn": "digits.models.cnn",
}

KINDS_WITH_VALIDATION = frozenset({"cnn"})  # their `fit` also takes X_valid and y_valid
# parameters of these kinds for a fit without validation images, such as a refit
NO_EARLY_STOPPING = {"early_stopping_patience": None, "restore_best_weights": False}

# (epoch from 1, number of epochs, record): the record has loss, learning_rate and, if it is known, accuracy. It may
# return a new number of epochs for a network, at most that of its parameters: the rest of the learning-rate schedule is
# then compressed into the epochs that are left.
OnEpoch = Callable[[int, int, dict[str, float]], int | None]


@dataclass(frozen=True)
class Within:
    """The length of a network's or an MLP's fit in place of its epochs.

    seconds: that the fit may take from its call on, the start included. images: that it will probably train on in this
    time, each as often as it is seen; a network's learning-rate schedule follows them until the speed is measured.
    """

    seconds: float
    images: int


def stopwatch(processor: bool) -> Callable[[], float]:
    """Tells the seconds from now on. processor: those of this process alone, where other programs took the rest."""
    clocks = (perf_counter, process_time) if processor else (perf_counter,)
    started = [clock() for clock in clocks]
    return lambda: min(clock() - start for clock, start in zip(clocks, started, strict=True))


class Classifier(Protocol):
    """What cross-validation needs from a model.

    Images are uint8 (n, height * width * channels), channels last; labels are int64 (n,).
    """

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Any:
        """Learn from images and their labels."""

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Probabilities, (n, classes)."""


@dataclass(frozen=True)
class TaskSpec:
    """What a model must know about the competition.

    image_shape: (height, width), pixels. normalise: kind of `digits.models.preprocessing.Normaliser`. channels: values
    per pixel.
    """

    image_shape: tuple[int, int]
    classes: int
    normalise: str
    channels: int = 1


def family(kind: str) -> Any:
    """The module that makes models of a kind, imported with its libraries."""
    return import_module(FAMILIES[kind])


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None = None) -> Classifier:
    """An unfitted model.

    spec: a model's resolved parameters as in params.yaml, `kind` included. on_epoch: called after each epoch by the
    families that train epoch by epoch.
    """
    return cast(Classifier, family(spec["kind"]).build(spec, task, seed, on_epoch))


def save(spec: dict[str, Any], model: Classifier, folder: Path) -> None:
    """Write a fitted model's weights into `folder`."""
    family(spec["kind"]).save(model, folder)


def load(spec: dict[str, Any], task: TaskSpec, folder: Path) -> Classifier:
    """The fitted model that `save` has written into `folder`; it predicts the same bits. No file's code is run."""
    return cast(Classifier, family(spec["kind"]).load(spec, task, folder))
