"""Scores against figures known from elsewhere."""

from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from digits.config.competition import Metric as MetricName
from digits.evaluation.metrics import accuracy, log_loss, paired_gain, paired_loss_reduction
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, MACRO_F1, METRICS, Metric


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


SHARES = np.array([0.55, 0.3, 0.1, 0.05])  # of the classes
EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)


def unbalanced(generator: np.random.Generator, count: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal frequency, and probabilities of a model that knows how sure it is."""
    labels = generator.choice(len(SHARES), count, p=SHARES)
    seen = 3 * np.eye(len(SHARES))[labels] + noise * generator.normal(size=(count, len(SHARES)))
    weights = SHARES * np.exp(3 * (seen - seen.max(axis=1, keepdims=True)) / noise**2)
    return weights / weights.sum(axis=1, keepdims=True), labels


def test_every_metric_of_the_params_is_known() -> None:
    assert [*METRICS] == [*get_args(MetricName)]
    assert all(METRICS[name].name == name for name in METRICS)


def test_metrics_are_scikit_learns() -> None:
    probabilities, labels = unbalanced(np.random.default_rng(1), 300)
    for rows in (slice(None), labels < 3, labels < 2):  # also where a class is missing
        predicted, truth = probabilities[rows], labels[rows]
        found = MACRO_F1.value(predicted, truth)
        assert found == pytest.approx(f1_score(truth, predicted.argmax(axis=1), average="macro"))
        expected = sklearn_log_loss(truth, predicted, labels=range(4))
        assert LOG_LOSS.value(predicted, truth) == pytest.approx(expected, rel=1e-6)
        assert ACCURACY.value(predicted, truth) == accuracy(predicted, truth).value
    sure = LOG_LOSS.value(one_hot([0, 0]), np.array([0, 1]))
    assert sure == pytest.approx(-np.log(1e-15) / 2)  # Kaggle's floor


def test_a_rare_class_counts_as_much_as_a_frequent_one_in_the_macro_f1_alone() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    blind = np.tile([0.9, 0.1, 0.0], (100, 1))
    assert ACCURACY.value(blind, labels) == 0.9
    assert MACRO_F1.value(blind, labels) == pytest.approx((2 * 90 / 190 + 0) / 2)


@pytest.mark.parametrize(("metric", "count"), [(LOG_LOSS, 400), (LOG_LOSS, 3000), (MACRO_F1, 400), (MACRO_F1, 3000)])
def test_its_interval_covers_the_value_on_all_images(metric: Metric, count: int) -> None:
    truth = metric.value(*unbalanced(np.random.default_rng(2), 300_000))
    generator = np.random.default_rng(3)
    scores = [metric.score(*unbalanced(generator, count)) for _ in range(400)]
    assert 0.91 <= np.mean([score.low <= truth <= score.high for score in scores]) <= 0.98


def test_no_error_is_no_certainty_and_least_of_all_for_a_rare_class() -> None:
    equal, rare = (np.array([0] * (100 - few) + [1] * few) for few in (50, 4))
    of_equal, of_rare = (MACRO_F1.score(np.eye(2)[labels], labels) for labels in (equal, rare))
    assert of_equal.value == of_rare.value == of_equal.high == of_rare.high == 1
    assert of_equal.low == pytest.approx(accuracy(np.eye(2)[equal], equal).low, abs=1e-6)
    assert of_rare.low < of_equal.low - 0.1


@pytest.mark.parametrize("metric", [LOG_LOSS, MACRO_F1], ids=lambda metric: metric.name)
def test_a_gain_is_the_difference_and_its_error_is_that_of_images_drawn_anew(metric: Metric) -> None:
    generator = np.random.default_rng(4)
    new, labels = unbalanced(generator, 1500)
    old = 0.3 * new + 0.7 * generator.dirichlet(np.ones(4), 1500)
    gain, error = metric.gain(new, old, labels)
    assert gain > 0
    assert gain == pytest.approx(metric.sign * (metric.value(new, labels) - metric.value(old, labels)))
    drawn = [generator.integers(0, 1500, 1500) for _ in range(500)]
    again = [metric.value(new[rows], labels[rows]) - metric.value(old[rows], labels[rows]) for rows in drawn]
    assert error == pytest.approx(np.std(again), rel=0.1)
    assert metric.gain(old, new, labels)[0] == pytest.approx(-gain)


@EVERY
def test_the_value_that_a_calibrated_model_expects_is_the_one_that_it_has(metric: Metric) -> None:
    probabilities, labels = unbalanced(np.random.default_rng(5), 100_000)
    expected = metric.contributions(probabilities, probabilities).mean()
    assert expected == pytest.approx(metric.value(probabilities, labels), rel=0.02)
