"""scikit-learn's classical classifiers, each after the same preprocessing steps."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from digits.models import OnEpoch, TaskSpec
from digits.models.baselines.pipelines import classifier_params, load, pipeline, save

__all__ = ["build", "load", "save"]


def _svm(params: dict[str, Any], seed: int) -> CalibratedClassifierCV:
    """SVC with probabilities by temperature scaling, fitted on the share `calibration_fraction` of the images.

    SVC's own probabilities would cost five more fits. Temperature scaling (C. Guo et al., 2017, On calibration of
    modern neural networks, ICML, section 4.2) leaves the predicted classes as they are.
    """
    split = _CalibrationSplit(params.pop("calibration_fraction"), seed)
    return CalibratedClassifierCV(SVC(**params, random_state=seed), method="temperature", cv=split)


class _CalibrationSplit:
    """One stratified split with the share `calibration_fraction` for the calibration, and at least one image per class.

    A class with a single image is learned, and not calibrated.
    """

    def __init__(self, calibration_fraction: float, seed: int):
        self.calibration_fraction = calibration_fraction
        self.seed = seed

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """As scikit-learn's splitters have it."""
        return 1

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows to learn from and rows to calibrate on."""
        _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
        common, single = (np.flatnonzero(rows) for rows in (counts[inverse] > 1, counts[inverse] == 1))
        size = max(int(np.ceil(self.calibration_fraction * len(common))), int((counts > 1).sum()))
        shuffle = StratifiedShuffleSplit(n_splits=1, test_size=size, random_state=self.seed)
        learned, calibrated = next(shuffle.split(common, inverse[common]))
        yield np.concatenate([common[learned], single]), common[calibrated]


_CLASSIFIERS: dict[str, Callable[[dict[str, Any], int], ClassifierMixin]] = {
    "logistic": lambda params, seed: LogisticRegression(**params, random_state=seed),
    "knn": lambda params, seed: KNeighborsClassifier(**params),
    "svm": _svm,
    "extra-trees": lambda params, seed: ExtraTreesClassifier(**params, random_state=seed),
}


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline of a spec whose `kind` is one of the above; `on_epoch` is not called."""
    return pipeline(spec, task, _CLASSIFIERS[spec["kind"]](classifier_params(spec), seed))
