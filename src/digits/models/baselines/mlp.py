"""scikit-learn's MLPClassifier."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from digits.models import OnEpoch, TaskSpec
from digits.models.baselines.pipelines import classifier_params, load, pipeline, save

__all__ = ["build", "load", "save"]

_BATCHES = 10  # learned from between two looks at the clock, which cost a millisecond


class SmallSampleMLP(MLPClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """An MLPClassifier that also learns from few images.

    A batch is at most as large as the images that it learns from, and there is no early stopping where a class has a
    single image, which cannot be both learned and held out.
    """

    def fit(self, X: Any, y: Any, seconds_left: Callable[[], float] | None = None) -> Self:
        """Learn from images and their labels; the parameters are as before afterwards.

        seconds_left: the fit ends, within an epoch too, when it returns 0, in place of max_iter and without early
        stopping. images_seen_ then tells how many images it has learned from, each as often as it was seen.
        """
        wanted = {name: getattr(self, name) for name in ("batch_size", "early_stopping")}
        stop = self.early_stopping and not seconds_left and int(np.unique(y, return_counts=True)[1].min()) > 1
        learned = len(y) - stop * int(np.ceil(self.validation_fraction * len(y)))
        batch = self.batch_size if self.batch_size == "auto" else min(self.batch_size, learned)
        try:
            self.set_params(batch_size=batch, early_stopping=stop)
            if seconds_left:
                self._fit_in_time(X, y, seconds_left)
            else:
                super().fit(X, y)
        finally:
            self.set_params(**wanted)
        return self

    def _fit_in_time(self, X: Any, y: Any, seconds_left: Callable[[], float]) -> None:
        """Epochs in parts of _BATCHES batches: scikit-learn's partial_fit takes one pass over what it is given.

        An epoch has one smaller batch at most, its last, as in scikit-learn's own fit.
        """
        for name in [name for name in vars(self) if name.endswith("_") or name == "_optimizer"]:
            delattr(self, name)  # else partial_fit would go on from an earlier fit
        generator, classes, self.images_seen_ = np.random.default_rng(self.random_state), np.unique(y), 0
        batch = min(200, len(y)) if self.batch_size == "auto" else self.batch_size
        part = _BATCHES * batch
        while True:
            order = generator.permutation(len(y))
            for rows in np.split(order, range(part, len(y) - batch + 1, part)):
                before = seconds_left()
                self.partial_fit(X[rows], y[rows], classes=classes)
                self.images_seen_ += len(rows)
                if (left := seconds_left()) <= (before - left) / 2:
                    return


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline; `on_epoch` is not called, as MLPClassifier reports no epochs."""
    return pipeline(spec, task, SmallSampleMLP(**classifier_params(spec), random_state=seed))
