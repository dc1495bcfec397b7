"""Differences between two models are told when they are there, and not when chance explains them."""

import numpy as np
import pytest
from scipy.stats import binomtest

from digits.evaluation.comparison import difference, right_alone
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, METRICS, Metric

EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)


def told(found: object) -> bool:
    return str(found).endswith("more than chance")


def pairs(won: int, lost: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of a new and an old model, and labels: images that one alone predicts correctly, the others both."""
    new, old = np.zeros(count, int), np.zeros(count, int)
    old[:won], new[won : won + lost] = 1, 1
    return np.eye(2)[new], np.eye(2)[old], np.zeros(count, int)


def random_models(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, 400)
    new, old = (generator.dirichlet(np.ones(3), 400) + share * np.eye(3)[labels] for share in (0.5, 0.3))
    return new / 1.5, old / 1.3, labels


def test_the_interval_is_the_published_one() -> None:
    """M. W. Fagerland et al., 2014, Statistics in medicine 33, p. 2850, table V: one and seven of 21 pairs differ.

    By hand: 2 / 23 - 8 / 23 -+ 1.96 sqrt((10 / 23 - (6 / 23)^2) / 23).
    """
    found = difference(ACCURACY, *pairs(1, 7, 21))
    assert found.value == pytest.approx(-6 / 21)
    assert (found.low, found.high) == pytest.approx((-0.5084, -0.0134), abs=1e-4)


@pytest.mark.parametrize(
    ("won", "lost", "count"),
    [(0.1, 0.1, 200), (0.2, 0.05, 200), (0.05, 0.0, 500), (0.002, 0.001, 7560), (0.0005, 0.0005, 7560)],
)
def test_the_interval_contains_the_true_difference_in_95_of_100_draws(won: float, lost: float, count: int) -> None:
    """won, lost: true shares of the images that the new and the old model alone predict correctly."""
    draws = np.random.default_rng(0).multinomial(count, [won, lost, 1 - won - lost], 1500)
    found = [difference(ACCURACY, *pairs(one, other, count)) for one, other, _ in draws]
    assert 0.935 <= np.mean([each.low <= won - lost <= each.high for each in found]) <= 0.995


def test_a_difference_is_told_where_mcnemars_exact_test_tells_it() -> None:
    """Wherever its p is not near 0.05 (Q. McNemar, 1947, Psychometrika 12, p. 153)."""
    clear = 0
    for won in range(40):
        for lost in range(40):
            p = binomtest(won, won + lost).pvalue if won + lost else 1.0
            if not 0.03 < p < 0.08:
                clear += 1
                assert told(difference(ACCURACY, *pairs(won, lost, 1000))) == (p < 0.05), (won, lost, p)
    assert clear > 1400


def test_the_interval_of_log_loss_is_as_by_drawing_the_images_anew() -> None:
    """B. Efron, 1979, Annals of statistics 7, p. 1."""
    new, old, labels = random_models(0)
    found = difference(LOG_LOSS, new, old, labels)
    generator = np.random.default_rng(0)
    drawn = (generator.integers(0, 400, 400) for _ in range(2000))
    low, high = np.quantile(
        [difference(LOG_LOSS, new[rows], old[rows], labels[rows]).value for rows in drawn], [0.025, 0.975]
    )
    assert found.value > 0
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))


@EVERY
def test_the_other_way_round_it_is_the_negative(metric: Metric) -> None:
    new, old, labels = random_models(1)
    there, back = difference(metric, new, old, labels), difference(metric, old, new, labels)
    assert there.low < there.value < there.high
    assert vars(-back) == pytest.approx(vars(there))
    assert str(there).startswith("0.")


@EVERY
def test_a_model_is_not_better_than_itself(metric: Metric) -> None:
    new, _, labels = random_models(2)
    found = difference(metric, new, new, labels)
    assert found.value == 0
    assert not told(found)
    assert not right_alone(new, new, labels).any()


def test_where_one_alone_is_right() -> None:
    new, old, labels = pairs(2, 1, 5)
    assert right_alone(new, old, labels).tolist() == [True, True, False, False, False]
    assert right_alone(old, new, labels).tolist() == [False, False, True, False, False]
