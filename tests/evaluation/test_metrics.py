"""Scores against figures known from elsewhere."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from digits.evaluation.metrics import accuracy, log_loss, paired_gain, paired_loss_reduction


def one_hot(classes: list[int]) -> np.ndarray:
    return np.eye(3)[classes]


def test_accuracy_and_its_interval() -> None:
    result = accuracy(one_hot([0] * 10), np.array([0] * 8 + [1] * 2))
    assert (result.value, result.count) == (0.8, 10)
    # Wilson (1927) by hand: (p + z2/2n -+ z sqrt(pq/n + z2/4n2)) / (1 + z2/n) at p = 0.8, n = 10, z = 1.96
    assert (result.low, result.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_interval_of_a_perfect_score_does_not_claim_certainty() -> None:
    result = accuracy(one_hot([1] * 100), np.ones(100, dtype=int))
    assert result.high == 1
    assert result.low == pytest.approx(100 / (100 + 1.96**2), abs=1e-4)


def test_log_loss_is_the_mean_negative_log_probability() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], dtype=np.float32)
    assert log_loss(probabilities, np.array([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2, abs=1e-6)


def test_paired_gain_counts_only_where_one_of_two_is_right() -> None:
    labels = np.zeros(100, dtype=int)
    old = one_hot([0] * 90 + [1] * 10)
    new = one_hot([1] * 2 + [0] * 96 + [1] * 2)
    gain, error = paired_gain(new, old, labels)
    assert gain == pytest.approx(0.06)
    assert error == pytest.approx(np.sqrt(8 + 2) / 100)


def test_log_loss_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    probabilities, labels = generator.dirichlet(np.ones(3), 200), generator.integers(0, 3, 200)
    probabilities[:2] = one_hot([0, 0])
    labels[:2] = [0, 1]  # quite sure: once right, once wrong
    assert log_loss(probabilities, labels) == pytest.approx(sklearn_log_loss(labels, probabilities), rel=1e-6)
    assert log_loss(3 * probabilities, labels) == pytest.approx(log_loss(probabilities, labels))


def test_paired_loss_reduction_is_the_difference_and_its_error() -> None:
    """The error as by drawing the images anew (B. Efron, 1979, Annals of statistics 7, p. 1)."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 500)
    old = generator.dirichlet(np.ones(3), 500)
    new = 0.9 * old + 0.1 * np.eye(3)[labels]
    reduction, error = paired_loss_reduction(new, old, labels)
    assert reduction == pytest.approx(log_loss(old, labels) - log_loss(new, labels))
    assert reduction > 0
    drawn = [generator.integers(0, 500, 500) for _ in range(2000)]
    again = [log_loss(old[rows], labels[rows]) - log_loss(new[rows], labels[rows]) for rows in drawn]
    assert error == pytest.approx(np.std(again), rel=0.1)
    assert paired_loss_reduction(old, old, labels) == (0, 0)
