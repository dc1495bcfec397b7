"""The finished blend: weights, estimate and test probabilities, in a folder named after what decides them."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.errors import UserError
from digits.files import atomic_folder, read_json, write_json


@dataclass(frozen=True)
class Blend:
    """A weighted mean of runs and how good it is thought to be.

    weights: by run folder. cv, cv_low, cv_high: accuracy on out-of-fold predictions with its 95 % interval, weights
    chosen on other folds. holdout, holdout_low, holdout_high: on images that nothing was chosen on. data: hash of the
    arrays.
    """

    name: str
    data: str
    weights: dict[str, float]
    cv: float
    cv_low: float
    cv_high: float
    holdout: float
    holdout_low: float
    holdout_high: float


def save_blend(
    runs: Path, blend: Blend, oof: NDArray[np.floating], holdout: NDArray[np.floating], test: NDArray[np.floating]
) -> None:
    """Write the blend and its probabilities, (rows, classes) each."""
    with atomic_folder(runs / blend.name) as folder:
        np.savez(folder / "probabilities.npz", oof=oof, holdout=holdout, test=test)
        write_json(folder / "blend.json", asdict(blend))


def load_blend(runs: Path, name: str) -> Blend | None:
    """The blend called `name`, or None where it is not finished."""
    content = read_json(runs / name / "blend.json")
    return Blend(**content) if content else None


def mark_current(runs: Path, name: str) -> None:
    """Make the blend the one to submit."""
    if read_json(runs / "current-blend.json") != {"name": name}:
        write_json(runs / "current-blend.json", {"name": name})


def load_current(runs: Path, data: str) -> Blend:
    """The blend to submit; raises UserError where there is none for the present data."""
    current = read_json(runs / "current-blend.json")
    blend = load_blend(runs, current["name"]) if current else None
    if blend is None or blend.data != data:
        raise UserError("there is no blend for the present data yet; type: make ensemble")
    return blend


def test_probabilities(runs: Path, blend: Blend) -> NDArray[np.floating]:
    """Blended probabilities of the test images, (m, classes)."""
    with np.load(runs / blend.name / "probabilities.npz") as arrays:
        test: NDArray[np.floating] = arrays["test"]
    return test
