"""Pipelines of the scikit-learn models: the steps before the classifier, and how a fitted one is saved."""

from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import skops.io
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from digits.common.errors import UserError
from digits.models import TaskSpec
from digits.models.preprocessing import CappedPCA, Normaliser, deskewer

Step = tuple[str, Any]
_FILE = "model.skops"
_TRUSTED = ("digits.models.", "sklearn.", "numpy.", "scipy.")  # starts of the names of what a file may contain


def pipeline(spec: dict[str, Any], task: TaskSpec, classifier: ClassifierMixin) -> Pipeline:
    """An unfitted classifier after the preprocessing steps of its spec."""
    steps = [*image_steps(spec, task), *feature_steps(spec, task)]
    return Pipeline([*steps, ("classifier", classifier)])


def image_steps(spec: dict[str, Any], task: TaskSpec) -> list[Step]:
    """Steps from images to images: the deskewer, if `deskew` is true in the spec."""
    return [("deskew", deskewer(task.image_shape, task.channels))] if spec["deskew"] else []


def feature_steps(spec: dict[str, Any], task: TaskSpec) -> list[Step]:
    """Steps from images to features: normalised pixels, or their principal components."""
    steps: list[Step] = [("normalise", Normaliser(task.normalise))]
    if spec["n_components"] is not None:
        steps.append(("pca", CappedPCA(spec["n_components"])))
    return steps


def classifier_params(spec: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a spec that belong to the classifier itself."""
    return {name: value for name, value in spec.items() if name not in ("kind", "deskew", "n_components")}


def save(model: Pipeline, folder: Path) -> None:
    """Write the fitted pipeline to a file of skops, which runs no code when it is loaded."""
    skops.io.dump(model, folder / _FILE, compression=ZIP_DEFLATED, compresslevel=1)


def load(spec: dict[str, Any], task: TaskSpec, folder: Path) -> Pipeline:
    """The fitted pipeline that `save` has written. Raises UserError if the file contains types of other packages."""
    types = skops.io.get_untrusted_types(file=folder / _FILE)
    if strange := [name for name in types if not name.startswith(_TRUSTED)]:
        raise UserError(f"{folder / _FILE} contains {strange[0]}, which digits never writes, and is not loaded")
    return skops.io.load(folder / _FILE, trusted=types)
