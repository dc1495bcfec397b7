"""The finished blend: weights, estimate and test probabilities, in a folder named after what decides them."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.files import atomic_folder, read_json, write_json
from digits.metrics import Accuracy


@dataclass(frozen=True)
class Blend:
    """A weighted mean of runs and how good it is thought to be.

    weights: by run folder. cv: accuracy of out-of-fold predictions, weights chosen on other folds. holdout: accuracy on
    images that nothing was chosen on.
    """

    name: str
    weights: dict[str, float]
    cv: Accuracy
    holdout: Accuracy


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
    if content is None:
        return None
    return Blend(**content | {part: Accuracy(**content[part]) for part in ("cv", "holdout")})


def test_probabilities(runs: Path, blend: Blend) -> NDArray[np.floating]:
    """Blended probabilities of the test images, (m, classes)."""
    with np.load(runs / blend.name / "probabilities.npz") as arrays:
        test: NDArray[np.floating] = arrays["test"]
    return test
