"""An interval must hold the truth as often as it says."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from digits.evaluation.expected_score import expected_score

HOLDOUT, TEST = 4_200, 28_000  # images


def draw(
    generator: np.random.Generator, images: int, models: int, test_models: int, hard: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A made-up competition: a share `hard` of the images is near a border between classes, all models know the rest.

    Each model measures the distance of an image from the border with an error of its own; their mean errs less.
    Returns what is right out of fold, on the holdout by each model and by their mean, and the score on the test images
    by the mean of `test_models` others.
    """

    def right(count: int, models: int) -> tuple[np.ndarray, np.ndarray]:
        """By each model, (models, count), and by their mean, (count,); the hard images come first."""
        few = generator.binomial(count, hard)
        measured = generator.normal(0.4, 0.8, few) + 0.7 * generator.normal(size=(models, few))
        single, mean = np.ones((models, count), bool), np.ones(count, bool)
        single[:, :few], mean[:few] = measured > 0, measured.mean(axis=0) > 0
        return single, mean

    (oof,), _ = right(images, 1)
    _, test = right(TEST, test_models)
    return oof, *right(HOLDOUT, models), float(test.mean())


@pytest.mark.parametrize(
    ("images", "models", "test_models", "hard"),
    [(7_560, 1, 1, 0.01), (15_120, 2, 6, 0.01), (37_800, 5, 5, 0.01), (37_800, 5, 12, 0.05)],
)
def test_the_interval_covers_the_score_as_often_as_it_says(
    images: int, models: int, test_models: int, hard: float
) -> None:
    generator = np.random.default_rng(images + models)
    inside = 0
    for _ in range(1000):
        oof, single, blend, score = draw(generator, images, models, test_models, hard)
        estimate = expected_score(oof, single, blend, test_models, TEST)
        inside += estimate.low <= score <= estimate.high
    assert 920 <= inside <= 980


def test_what_averaging_is_worth_is_added() -> None:
    generator = np.random.default_rng(0)
    oof_right, single, blend, _ = draw(generator, 37_800, 5, 5, 0.1)
    found = expected_score(oof_right, single, blend, 5, TEST)
    assert found.gain == pytest.approx(blend.mean() - single.mean())
    unseen = np.concatenate([oof_right, single.mean(axis=0)])
    assert found.value == pytest.approx(unseen.mean() + found.gain)
    assert found.low < found.value < found.high < 1
    more = expected_score(oof_right, single, blend, 20, TEST)
    assert more.gain == pytest.approx(found.gain * 0.95 / 0.8)


def test_all_images_that_no_model_has_seen_count() -> None:
    """With one fold the holdout is a third of them: the estimate errs as little as on so many images."""
    generator = np.random.default_rng(3)
    found, out_of_fold, widths = [], [], []
    for _ in range(400):
        oof, single, blend, _ = draw(generator, 7_560, 1, 1, 0.02)
        estimate = expected_score(oof, single, blend, 1, TEST)
        found.append(estimate.value)
        out_of_fold.append(oof.mean())
        widths.append(estimate.high - estimate.low)
    assert np.std(found) / np.std(out_of_fold) == pytest.approx(np.sqrt(7_560 / (7_560 + HOLDOUT)), rel=0.1)
    rate = np.mean(found)
    error = np.sqrt(rate * (1 - rate) * (1 / (7_560 + HOLDOUT) + 1 / TEST))
    assert np.mean(widths) == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_a_score_of_fewer_test_images_has_a_wider_interval() -> None:
    oof, single, blend, _ = draw(np.random.default_rng(4), 37_800, 5, 5, 0.02)
    whole, quarter = (expected_score(oof, single, blend, 5, scored) for scored in (TEST, TEST // 4))
    assert quarter.value == whole.value
    assert quarter.low < whole.low < whole.high < quarter.high


def test_a_single_model_gains_nothing_by_averaging() -> None:
    oof_right, single, blend, _ = draw(np.random.default_rng(0), 1000, 1, 1, 0.1)
    assert expected_score(oof_right, single, blend, 3, TEST).gain == 0


def test_nothing_wrong_is_no_certainty() -> None:
    found = expected_score(np.ones(100, bool), np.ones((2, 40), bool), np.ones(40, bool), 2, 1000)
    assert found.low < found.value < 1
    assert found.high <= 1
    assert found.holdout_z == 0


def test_a_holdout_unlike_the_folds_has_a_large_z_score() -> None:
    generator = np.random.default_rng(1)
    oof_right, easy = generator.random(10_000) < 0.98, np.ones((3, 2000), bool)
    assert expected_score(oof_right, easy, easy[0], 3, 1000).holdout_z > 3
    alike = generator.random((3, 2000)) < 0.98
    assert abs(expected_score(oof_right, alike, alike[0], 3, 1000).holdout_z) < 3


@settings(deadline=None)
@given(
    right=st.lists(st.booleans(), min_size=2, max_size=200),
    held=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30),
    models=st.integers(1, 30),
)
@example(right=[True] * 145 + [False] * 17, held=[(False, True, True)] * 4 + [(True, True, True)] * 14, models=2)
def test_the_expected_score_lies_in_its_interval_however_few_images_there_are(
    right: list[bool], held: list[tuple[bool, bool, bool]], models: int
) -> None:
    single, blend = np.array([each[:2] for each in held]).T, np.array([each[2] for each in held])
    found = expected_score(np.array(right), single, blend, models, 30)
    assert 0 <= found.low <= found.value <= found.high <= 1
