"""Families of models behind one door: a spec, a setting and a seed -> an object with `fit` and `predict_proba`.

A family is a module with `build` and `save` for one or more kinds; it is imported when one of its models is built, so
that what needs scikit-learn alone never waits for TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

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

WATCHING = frozenset({"cnn"})  # kinds whose `fit` also takes X_valid and y_valid, to look at after each epoch
UNWATCHED = {
    "early_stopping_patience": None,
    "restore_best_weights": False,
}  # what a fit of theirs must say where there is nothing to look at

# epoch from 1, epochs in all, loss, learning_rate and, where it is known, accuracy
OnEpoch = Callable[[int, int, dict[str, float]], None]


class Classifier(Protocol):
    """What the fold loop needs of a model. Images are uint8 (n, pixels), labels int64 (n,)."""

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Any:
        """Learn from images and their labels."""

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Probabilities, (n, classes)."""


@runtime_checkable
class UsesTta(Protocol):
    """A model that looks at several tta of an image."""

    def predict_with_and_without_tta(self, X: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities, (n, classes) each: `predict_proba`'s, and those of the image as it is alone."""


@dataclass(frozen=True)
class Setting:
    """What a model must know of the competition."""

    image_shape: tuple[int, int]
    classes: int
    normalise: str


def family(kind: str) -> Any:
    """The module that makes models of a kind, imported with its libraries."""
    return import_module(FAMILIES[kind])


def build(spec: dict[str, Any], setting: Setting, seed: int, on_epoch: OnEpoch | None = None) -> Classifier:
    """An unfitted model.

    spec: a model's resolved parameters, `kind` among them, as in params.yaml. on_epoch: called after each epoch by the
    families that train epoch by epoch.
    """
    return cast(Classifier, family(spec["kind"]).build(spec, setting, seed, on_epoch))


def save(spec: dict[str, Any], model: Classifier, folder: Path) -> None:
    """Write a fitted model's weights into `folder`."""
    family(spec["kind"]).save(model, folder)
