"""What all scikit-learn models share: the steps before the classifier, and how a fitted pipeline is kept."""

from math import prod
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from digits.models import Setting
from digits.preprocess import Deskewer, Normaliser

Step = tuple[str, Any]


def pipeline(spec: dict[str, Any], setting: Setting, seed: int, classifier: ClassifierMixin) -> Pipeline:
    """An unfitted classifier behind the steps that its spec asks for."""
    steps = [*image_steps(spec, setting), *feature_steps(spec, setting, seed)]
    return Pipeline([*steps, ("classifier", classifier)])


def image_steps(spec: dict[str, Any], setting: Setting) -> list[Step]:
    """Steps from images to images, as params.yaml's `deskew` asks."""
    return [("deskew", Deskewer(setting.image_shape))] if spec["deskew"] else []


def feature_steps(spec: dict[str, Any], setting: Setting, seed: int) -> list[Step]:
    """Steps from images to what a classifier learns from: normalised pixels, or their principal components."""
    steps: list[Step] = [("normalise", Normaliser(setting.normalise))]
    if spec["components"] is not None:
        components = min(spec["components"], prod(setting.image_shape))  # there are no more than pixels
        # this solver works in float32 and in seconds where there are far more images than pixels
        steps.append(("components", PCA(components, svd_solver="covariance_eigh", random_state=seed)))
    return steps


def classifier_params(spec: dict[str, Any]) -> dict[str, Any]:
    """What is left of a spec for the classifier itself."""
    return {name: value for name, value in spec.items() if name not in ("kind", "deskew", "components")}


def save(model: Pipeline, folder: Path) -> None:
    """Write the fitted pipeline; joblib files run code when loaded, so load only your own."""
    joblib.dump(model, folder / "model.joblib", compress=1)
