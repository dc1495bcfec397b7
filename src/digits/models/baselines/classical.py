"""scikit-learn's classical classifiers, each after the same preprocessing steps."""

from collections.abc import Callable
from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from digits.models import OnEpoch, TaskSpec
from digits.models.baselines.pipelines import classifier_params, pipeline, save

__all__ = ["build", "save"]


def _logistic(params: dict[str, Any], seed: int) -> LogisticRegression:
    return LogisticRegression(**params, random_state=seed)


def _knn(params: dict[str, Any], _: int) -> KNeighborsClassifier:
    return KNeighborsClassifier(**params)


def _svm(params: dict[str, Any], seed: int) -> CalibratedClassifierCV:
    """SVC with probabilities by temperature scaling, fitted on the share `calibration_fraction` of the images.

    SVC's own probabilities would cost five more fits. Temperature scaling (C. Guo et al., 2017, On calibration of
    modern neural networks, ICML, section 4.2) leaves the predicted classes as they are.
    """
    split = StratifiedShuffleSplit(n_splits=1, test_size=params.pop("calibration_fraction"), random_state=seed)
    return CalibratedClassifierCV(SVC(**params, random_state=seed), method="temperature", cv=split)


def _extra_trees(params: dict[str, Any], seed: int) -> ExtraTreesClassifier:
    return ExtraTreesClassifier(**params, random_state=seed)


_CLASSIFIERS: dict[str, Callable[[dict[str, Any], int], ClassifierMixin]] = {
    "logistic": _logistic,
    "knn": _knn,
    "svm": _svm,
    "extra-trees": _extra_trees,
}


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline of a spec whose `kind` is one of the above; `on_epoch` is not called."""
    return pipeline(spec, task, _CLASSIFIERS[spec["kind"]](classifier_params(spec), seed))
