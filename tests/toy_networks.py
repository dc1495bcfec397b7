"""Networks that take a second, on the toy images: what the tests of the Keras family share."""

from typing import Any

import numpy as np

from digits.models import OnEpoch, TaskSpec, build
from digits.models.cnn import CnnClassifier
from digits.models.cnn.network import LayerSettings
from toys import toy_images

TASK = TaskSpec((12, 12), 3, "/255")
SETTINGS = LayerSettings("relu", "glorot_uniform", 0.0, 0.0, 0.0, "float32")
NO_AUGMENTATION = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0, "flip": False}
LIMITS: dict[str, Any] = {"weight_decay": None, "clipnorm": None, "clipvalue": None}
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True}
IMAGES, LABELS = toy_images(240, np.random.default_rng(0))


def build_toy(
    spec: dict[str, Any], seed: int = 0, task: TaskSpec = TASK, on_epoch: OnEpoch | None = None, **changes: Any
) -> CnnClassifier:
    """An unfitted network; `changes` replace parameters of the spec."""
    model = build(spec | changes, task, seed, on_epoch)
    assert isinstance(model, CnnClassifier)
    return model


def fit_toy(spec: dict[str, Any], seed: int = 0, task: TaskSpec = TASK, **changes: Any) -> CnnClassifier:
    """Fitted on the first 180 images."""
    return build_toy(spec, seed, task, **changes).fit(IMAGES[:180], LABELS[:180])


def fit_validated(spec: dict[str, Any], seed: int = 0, **changes: Any) -> CnnClassifier:
    """Fitted on the first 180 images, with the other 60 to validate on."""
    return build_toy(spec, seed, **changes).fit(IMAGES[:180], LABELS[:180], IMAGES[180:], LABELS[180:])


def fit_and_predict(spec: dict[str, Any]) -> np.ndarray:
    """Probabilities of all images; a function that other processes can import."""
    return fit_toy(spec).predict_proba(IMAGES)
