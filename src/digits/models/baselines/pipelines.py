"""What all scikit-learn models share: the steps before the classifier, and how a fitted pipeline is kept."""

from pathlib import Path
from typing import Any

import joblib
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from digits.models import Setting
from digits.models.preprocessing import Components, Deskewer, Normaliser

Step = tuple[str, Any]


def pipeline(spec: dict[str, Any], setting: Setting, classifier: ClassifierMixin) -> Pipeline:
    """An unfitted classifier behind the steps that its spec asks for."""
    steps = [*image_steps(spec, setting), *feature_steps(spec, setting)]
    return Pipeline([*steps, ("classifier", classifier)])


def image_steps(spec: dict[str, Any], setting: Setting) -> list[Step]:
    """Steps from images to images, as params.yaml's `deskew` asks."""
    return [("deskew", Deskewer(setting.image_shape))] if spec["deskew"] else []


def feature_steps(spec: dict[str, Any], setting: Setting) -> list[Step]:
    """Steps from images to what a classifier learns from: normalised pixels, or their principal components."""
    steps: list[Step] = [("normalise", Normaliser(setting.normalise))]
    if spec["n_components"] is not None:
        steps.append(("components", Components(spec["n_components"])))
    return steps


def classifier_params(spec: dict[str, Any]) -> dict[str, Any]:
    """What is left of a spec for the classifier itself."""
    return {name: value for name, value in spec.items() if name not in ("kind", "deskew", "n_components")}


def save(model: Pipeline, folder: Path) -> None:
    """Write the fitted pipeline; joblib files run code when loaded, so load only your own."""
    joblib.dump(model, folder / "model.joblib", compress=1)
