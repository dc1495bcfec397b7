"""Fitted scikit-learn pipelines of this package as pipelines of scikit-learn's own classes, and as ONNX."""

from copy import copy
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from digits.models.baselines.augmented_mlp import AugmentedMLPClassifier
from digits.models.baselines.mlp import SmallSampleMLP
from digits.models.preprocessing import CappedPCA, Normaliser


def plain_pipeline(fitted: Pipeline, pixels: int) -> Pipeline | None:
    """The same model of scikit-learn's classes alone; None if it deskews. pixels: values of an image."""
    steps = [plain for _, step in fitted.steps for plain in _plain(step, pixels)]
    if any(isinstance(step, FunctionTransformer) for step in steps):
        return None
    return Pipeline([(f"{number}-{type(step).__name__.lower()}", step) for number, step in enumerate(steps)])


def to_onnx(pipeline: Pipeline, pixels: int) -> bytes | None:
    """The model as ONNX: float32 (n, pixels) -> label and probabilities; None if skl2onnx lacks the calibration."""
    import skl2onnx  # noqa: PLC0415 - other commands do without it

    if isinstance(pipeline[-1], CalibratedClassifierCV):
        return None
    made = skl2onnx.to_onnx(pipeline, np.zeros((1, pixels), np.float32), options={"zipmap": False})
    content: bytes = made.SerializeToString()
    return content


def _plain(step: Any, pixels: int) -> list[Any]:
    """The steps of scikit-learn that do the same."""
    match step:
        case Normaliser():
            scaler = StandardScaler()
            scaler.mean_, scale = (np.full(pixels, value, np.float64) for value in (step.offset_, step.scale_))
            scaler.scale_, scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = 1 / scale, scale**-2, pixels, 1
            return [scaler]
        case CappedPCA():
            return [step.pca_]
        case AugmentedMLPClassifier():
            features = [] if step.features_ is None else [inner for _, inner in step.features_.steps]
            return [plain for inner in (*features, step.mlp_) for plain in _plain(inner, pixels)]
        case SmallSampleMLP():
            mlp = MLPClassifier()
            vars(mlp).update(vars(step))
            return [mlp]
        case CalibratedClassifierCV():
            calibrated = copy(step)
            calibrated.cv = None  # how it was fitted
            return [calibrated]
    return [step]
