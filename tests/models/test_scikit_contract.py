"""The estimators pass scikit-learn's own checks."""

from typing import Any

from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from digits.models.baselines.augmented_mlp import AugmentedMLPClassifier
from digits.models.preprocessing import CappedPCA, Normaliser

ESTIMATORS = [
    Normaliser("standard"),
    CappedPCA(),
    AugmentedMLPClassifier(MLPClassifier(learning_rate_init=0.01), epochs=60),
]


@parametrize_with_checks(ESTIMATORS)  # type: ignore[untyped-decorator]
def test_the_contract_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)
