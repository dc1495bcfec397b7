"""Writes the files of a plan and compares each with the models in runs/.

A subprocess does it, so that the converters' notices and TensorFlow's number of threads stay out of this one.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, Send, run_in_subprocess
from digits.ensemble.combine import from_json
from digits.export.formats import NETWORK_FORMATS, Predict, write_network, write_pipeline
from digits.export.plan import Networks, Plan
from digits.training.crossval import preload

_TOLERANCE = 1e-4  # of a probability


@dataclass(frozen=True)
class Written:
    """A file, beside the models in runs/. size: bytes. images: number of those that were compared.

    difference: the largest of a probability; it is a fault if it is not small, except in float16. same: images with the
    same label.
    """

    file: str
    size: int
    images: int = 0
    difference: float = 0.0
    same: int = 0


def write_models(plan: Plan, folder: Path, images: NDArray[np.uint8], on_file: Callable[[Written], object]) -> None:
    """Write all models of a plan into `folder`, and compare them on images, (n, pixels), if there are any.

    Raises UserError if a model cannot be written, or if a file computes something else.
    """
    kinds = [*(["cnn"] if plan.graphs else []), *(unit.spec.model["kind"] for unit in plan.baselines.values())]
    try:
        run_in_subprocess(_write, (plan, folder, images), on_file, inf, preload(*kinds))
    except ProcessDiedError as error:
        raise UserError(f"nothing was exported: {error}") from None


def _write(job: tuple[Plan, Path, NDArray[np.uint8]], send: Send) -> None:
    plan, folder, images = job
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for stem, networks in plan.graphs.items():
        model, known = _built(networks, plan.about, images)
        shaped = images.reshape(-1, *model.input_shape[1:])
        for ending in NETWORK_FORMATS:
            path = folder / f"{stem}{ending}"
            send(_compared(path, write_network(model, path), shaped, known))
    for stem, unit in plan.baselines.items():
        fitted: Any = unit.model(plan.about)
        known = fitted.predict_proba(images) if len(images) else np.zeros(0)
        for ending, predict in write_pipeline(fitted, folder / stem, images.shape[1]).items():
            send(_compared(folder / f"{stem}{ending}", predict, images, known))


def _built(networks: Networks, about: dict[str, Any], images: NDArray[np.uint8]) -> tuple[Any, NDArray[np.floating]]:
    """The graph, and the probabilities of images, (n, classes), that it must have."""
    from digits.export.graph import graph  # noqa: PLC0415 - scikit-learn's models do without Keras

    members: Any = [[unit.model(about) for unit in units] for units in networks.members]
    combination = from_json(networks.combination)
    unused = np.zeros((len(images), about["classes"]))
    means = [
        np.mean([unit.predict_proba(images) for unit in units] or [unused], axis=0, dtype=float) for units in members
    ]
    return graph(members, combination), combination(means)


def _compared(path: Path, predict: Predict | None, images: NDArray[np.uint8], known: NDArray[np.floating]) -> Written:
    size = path.stat().st_size
    if predict is None or not len(images):
        return Written(path.name, size)
    found = predict(images.astype(np.float32))
    difference = float(np.abs(found - known).max())
    if not (difference <= _TOLERANCE or "float16" in path.name):
        raise UserError(f"{path.name} has probabilities that differ by {difference:.1g} from those of runs/")
    return Written(path.name, size, len(images), difference, int((found.argmax(1) == known.argmax(1)).sum()))
