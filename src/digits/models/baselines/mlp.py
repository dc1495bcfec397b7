"""scikit-learn's MLPClassifier."""

from typing import Any, Self

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from digits.models import OnEpoch, TaskSpec
from digits.models.baselines.pipelines import classifier_params, load, pipeline, save

__all__ = ["build", "load", "save"]


class SmallSampleMLP(MLPClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """An MLPClassifier that also learns from few images.

    A batch is at most as large as the images that it learns from, and there is no early stopping where a class has a
    single image, which cannot be both learned and held out.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from images and their labels; the parameters are as before afterwards."""
        wanted = {name: getattr(self, name) for name in ("batch_size", "early_stopping")}
        stop = self.early_stopping and int(np.unique(y, return_counts=True)[1].min()) > 1
        learned = len(y) - stop * int(np.ceil(self.validation_fraction * len(y)))
        batch = self.batch_size if self.batch_size == "auto" else min(self.batch_size, learned)
        try:
            self.set_params(batch_size=batch, early_stopping=stop)
            super().fit(X, y)
        finally:
            self.set_params(**wanted)
        return self


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline; `on_epoch` is not called, as MLPClassifier reports no epochs."""
    return pipeline(spec, task, SmallSampleMLP(**classifier_params(spec), random_state=seed))
