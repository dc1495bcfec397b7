"""scikit-learn's MLPClassifier."""

from typing import Any

from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from digits.models import OnEpoch, TaskSpec
from digits.models.baselines.pipelines import classifier_params, pipeline, save

__all__ = ["build", "save"]


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline; `on_epoch` is not called, as MLPClassifier reports no epochs."""
    return pipeline(spec, task, MLPClassifier(**classifier_params(spec), random_state=seed))
