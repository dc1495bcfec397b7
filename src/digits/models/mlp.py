"""scikit-learn's MLPClassifier on normalised pixels."""

import warnings
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from digits.models import OnEpoch, Setting
from digits.preprocess import Normaliser


class BudgetedMLP(MLPClassifier):  # type: ignore[misc]
    """MLPClassifier for which `max_iter` is a budget: reaching it is no cause for a warning."""

    def fit(self, X: NDArray[np.floating], y: NDArray[np.int64], sample_weight: Any = None) -> Self:
        """Fit for at most `max_iter` epochs."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y, sample_weight)
        return self


def build(params: dict[str, Any], setting: Setting, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Pipeline of normalisation and network; `on_epoch` is not called, scikit-learn reports no epochs."""
    return Pipeline(
        [
            ("normalise", Normaliser(setting.normalise)),
            ("mlp", BudgetedMLP(**params, random_state=seed)),
        ]
    )


def save(model: Pipeline, folder: Path) -> None:
    """Write the fitted pipeline; joblib files run code when loaded, so load only your own."""
    joblib.dump(model, folder / "model.joblib")
