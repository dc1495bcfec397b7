"""An interval must hold the truth as often as it says."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digits.evaluation.expected_score import (
    Estimate,
    expected_score,
    expected_value,
    gain_of_averaging,
    loss_left,
)
from digits.evaluation.scoring import LOG_LOSS, MACRO_F1, Metric

HOLDOUT, TEST = 4_200, 28_000  # images


def predict(generator: np.random.Generator, images: int, models: int, hard: float) -> np.ndarray:
    """A made-up competition: a share `hard` of the images is near a border between classes, all models know the rest.

    Each model measures the distance of an image from the border, mostly to its right side, with an error of its own,
    and knows how far to trust what it measures. Returns probabilities of the right class and of the other one,
    (models, images, 2); the hard images come first.
    """
    few = generator.binomial(images, hard)
    measured = generator.normal(0.4, 0.8, few) + 0.7 * generator.normal(size=(models, few))
    right = np.ones((models, images))
    right[:, :few] = 1 / (1 + np.exp(-2 * 0.4 * measured / (0.8**2 + 0.7**2)))
    return np.stack([right, 1 - right], axis=-1)


def draw(
    generator: np.random.Generator, images: int, models: int, test_models: int, hard: float, scored: int = TEST
) -> tuple[Estimate, float]:
    """The estimate and the score of such a competition, in which the test images are predicted by `test_models`."""
    oof, holdout = (predict(generator, count, number, hard) for count, number in ((images, 1), (HOLDOUT, models)))
    test = predict(generator, TEST, test_models, hard)
    blend = test.mean(axis=0)
    gain = float(np.mean([gain_of_averaging(blend, single) for single in test[:models]]))
    return expected_score(right(oof[0]), right(holdout), gain, scored), float(right(blend)[:scored].mean())


def right(probabilities: np.ndarray) -> np.ndarray:
    found: np.ndarray = probabilities.argmax(axis=-1) == 0
    return found


@pytest.mark.parametrize(
    ("images", "models", "test_models", "hard"),
    [(7_560, 1, 1, 0.01), (7_560, 1, 3, 0.01), (15_120, 2, 6, 0.01), (37_800, 5, 5, 0.01), (37_800, 5, 12, 0.02)],
)
def test_the_interval_covers_the_score_as_often_as_it_says(
    images: int, models: int, test_models: int, hard: float
) -> None:
    generator = np.random.default_rng(images + models)
    drawn = [draw(generator, images, models, test_models, hard) for _ in range(500)]
    inside = np.mean([estimate.low <= score <= estimate.high for estimate, score in drawn])
    assert 0.92 <= inside <= 0.99


def test_the_gain_of_averaging_is_seen_without_labels() -> None:
    """Less of it than there is, because a mean of models that know how sure they are is less sure than it is right."""
    test = predict(np.random.default_rng(2), 200_000, 12, 0.2)
    blend = test.mean(axis=0)
    found = gain_of_averaging(blend, test[0])
    true = right(blend).mean() - right(test[0]).mean()
    assert 0.4 * true < found < true
    assert gain_of_averaging(blend, blend) == 0


def test_all_images_that_no_model_has_seen_count() -> None:
    """With one fold the holdout is a third of them: the estimate errs as little as on so many images."""
    generator = np.random.default_rng(3)
    drawn = [draw(generator, 7_560, 1, 1, 0.02)[0] for _ in range(400)]
    rate = float(np.mean([estimate.value for estimate in drawn]))
    error = np.sqrt(rate * (1 - rate) / (7_560 + HOLDOUT))
    assert np.std([estimate.value for estimate in drawn]) == pytest.approx(error, rel=0.1)
    width = np.mean([estimate.high - estimate.low for estimate in drawn])
    assert width == pytest.approx(2 * 1.96 * np.sqrt(error**2 + rate * (1 - rate) / TEST), rel=0.05)


def test_a_score_of_fewer_test_images_has_a_wider_interval() -> None:
    whole, quarter = (draw(np.random.default_rng(4), 37_800, 5, 5, 0.02, scored)[0] for scored in (TEST, TEST // 4))
    assert quarter.value == whole.value
    assert quarter.low < whole.low < whole.high < quarter.high


def test_what_averaging_is_worth_is_added_and_is_not_certain() -> None:
    oof, holdout = np.arange(1000) % 50 > 0, np.arange(400)[None] % 50 > 0
    alone, averaged = (expected_score(oof, holdout, gain, TEST) for gain in (0.0, 0.004))
    assert alone.value == pytest.approx(0.98)
    assert averaged.value == pytest.approx(0.984)
    assert averaged.gain == 0.004
    assert averaged.high - averaged.low > alone.high - alone.low


def test_nothing_wrong_is_no_certainty() -> None:
    found = expected_score(np.ones(100, bool), np.ones((2, 40), bool), 0.0, 1000)
    assert found.low < found.value < 1
    assert found.high <= 1
    assert found.holdout_z == 0


def test_a_holdout_unlike_the_folds_has_a_large_z_score() -> None:
    generator = np.random.default_rng(1)
    oof_right, easy = generator.random(10_000) < 0.98, np.ones((3, 2000), bool)
    assert expected_score(oof_right, easy, 0.0, 1000).holdout_z > 3
    alike = generator.random((3, 2000)) < 0.98
    assert abs(expected_score(oof_right, alike, 0.0, 1000).holdout_z) < 3


@settings(deadline=None)
@given(
    oof=st.lists(st.booleans(), min_size=2, max_size=200),
    held=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30),
    gain=st.floats(0, 0.5),
)
@example(oof=[True] * 145 + [False] * 17, held=[(False, True)] * 4 + [(True, True)] * 14, gain=0.1)
def test_the_expected_score_lies_in_its_interval_however_few_images_there_are(
    oof: list[bool], held: list[tuple[bool, bool]], gain: float
) -> None:
    found = expected_score(np.array(oof), np.array(held).T, gain, 30)
    assert 0 <= found.low <= found.value <= found.high <= 1


SHARES = np.array([0.5, 0.3, 0.15, 0.05])  # of the classes
OTHERS = pytest.mark.parametrize("metric", [LOG_LOSS, MACRO_F1], ids=lambda metric: metric.name)


def labelled(generator: np.random.Generator, images: int, models: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and calibrated probabilities, (models, images, 4), of models that differ by noise of their own.

    Averaging six of them leaves nine tenths of the log loss, as it does with networks on the real digits.
    """
    labels = generator.choice(4, images, p=SHARES)
    seen = 2.5 * np.eye(4)[labels] + 0.8 * generator.normal(size=(images, 4))
    seen = seen + 0.2 * generator.normal(size=(models, images, 4))
    logits = 2.5 * seen / (0.8**2 + 0.2**2) + np.log(SHARES)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return labels, powers / powers.sum(axis=-1, keepdims=True)


def estimated(
    generator: np.random.Generator, metric: Metric, images: int, models: int, test_models: int, scored: int = 4000
) -> tuple[Estimate, float]:
    """The estimate and the score, as `draw`, by another metric."""
    (labels, [oof]), (held_labels, held) = labelled(generator, images, 1), labelled(generator, images // 8, models)
    test_labels, test = labelled(generator, 4000, test_models)
    blend = test.mean(axis=0)
    left = loss_left(metric, blend, test[:models])
    estimate = expected_value(metric, oof, held, labels, held_labels, left, scored)
    return estimate, metric.value(blend[:scored], test_labels[:scored])


@OTHERS
@pytest.mark.parametrize(("images", "models", "test_models"), [(3000, 1, 1), (3000, 1, 3), (8000, 3, 6)])
def test_the_interval_covers_the_score_by_another_metric(
    metric: Metric, images: int, models: int, test_models: int
) -> None:
    generator = np.random.default_rng(images + models)
    drawn = [estimated(generator, metric, images, models, test_models) for _ in range(60)]
    assert np.mean([estimate.low <= score <= estimate.high for estimate, score in drawn]) >= 0.9
    values, scores = (np.array(each) for each in zip(*((one.value, score) for one, score in drawn), strict=True))
    assert abs(np.mean(values - scores)) < 0.3 * np.mean([estimate.high - estimate.low for estimate, _ in drawn])
    assert np.mean([estimate.gain for estimate, _ in drawn]) * metric.sign >= -1e-9


@OTHERS
def test_a_score_of_fewer_test_images_has_a_wider_interval_by_another_metric(metric: Metric) -> None:
    whole, part = (estimated(np.random.default_rng(6), metric, 3000, 1, 3, scored)[0] for scored in (4000, 400))
    assert part.value == whole.value
    assert part.low < whole.low < whole.value < whole.high < part.high


@OTHERS
def test_a_holdout_that_is_easier_has_a_z_score_above_0(metric: Metric) -> None:
    (labels, [oof]), (held_labels, held) = (labelled(np.random.default_rng(seed), 2000, 1) for seed in (8, 9))
    easy = 0.2 * held + 0.8 * np.eye(4)[held_labels]
    found = expected_value(metric, oof, easy, labels, held_labels, 1.0, 1000)
    assert found.holdout_z > 3
    assert abs(expected_value(metric, oof, held, labels, held_labels, 1.0, 1000).holdout_z) < 3
    assert found.gain == pytest.approx(0)


@OTHERS
def test_nothing_wrong_is_no_certainty_by_another_metric(metric: Metric) -> None:
    labels = np.arange(120) % 4
    found = expected_value(metric, np.eye(4)[labels], np.eye(4)[labels[:20]][None], labels, labels[:20], 1.0, 1000)
    assert 0 < metric.loss(found.value) < 0.01
    assert abs(found.high - found.low) > 0.01
    score = metric.score(np.eye(4)[labels], labels)
    assert score.high > score.low
