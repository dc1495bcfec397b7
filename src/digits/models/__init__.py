"""Families of models behind one door: a spec, a setting and a seed -> an object with `fit` and `predict_proba`.

A family is a module with `build` and `save`; it is imported when one of its models is built, so that what needs
scikit-learn alone never waits for TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

FAMILIES = {"mlp": "digits.models.mlp", "cnn": "digits.models.cnn"}

# epoch from 1, epochs in all, loss, accuracy and learning_rate
OnEpoch = Callable[[int, int, dict[str, float]], None]


class Classifier(Protocol):
    """What the fold loop needs of a model. Images are uint8 (n, pixels), labels int64 (n,)."""

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Any:
        """Learn from images and their labels."""

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Probabilities, (n, classes)."""


@dataclass(frozen=True)
class Setting:
    """What a model must know of the competition."""

    image_shape: tuple[int, int]
    classes: int
    normalise: str


def build(spec: dict[str, Any], setting: Setting, seed: int, on_epoch: OnEpoch | None = None) -> Classifier:
    """An unfitted model.

    spec: a model's resolved parameters, `kind` among them, as in params.yaml. on_epoch: called after each epoch by the
    families that train epoch by epoch.
    """
    params = {name: value for name, value in spec.items() if name != "kind"}
    family = import_module(FAMILIES[spec["kind"]])
    return cast(Classifier, family.build(params, setting, seed, on_epoch))


def save(spec: dict[str, Any], model: Classifier, folder: Path) -> None:
    """Write a fitted model's weights into `folder`."""
    import_module(FAMILIES[spec["kind"]]).save(model, folder)
