"""Folds and holdout partition the rows, keep the classes' shares, and keep repeated images together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.errors import UserError
from digits.data.dataset import HOLDOUT
from digits.data.folds import assign_folds


def alone(count: int) -> np.ndarray:
    return np.arange(count)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 6), st.floats(0.1, 0.4), st.integers(0, 1000))
def test_every_part_has_the_shares_of_the_classes(folds: int, holdout: float, seed: int) -> None:
    labels = np.repeat([0, 1, 2], [300, 200, 100])
    parts = assign_folds(labels, alone(600), 3, folds, holdout, seed)
    assert set(parts) == {HOLDOUT, *range(folds)}
    assert abs((parts == HOLDOUT).sum() - 600 * holdout) <= 1
    for part in range(folds):
        counts = np.bincount(labels[parts == part], minlength=3)
        share = (1 - holdout) / folds
        assert np.abs(counts - np.array([300, 200, 100]) * share).max() <= 2


def test_repeated_images_stay_in_one_part() -> None:
    labels = np.tile([0, 1], 100)
    groups = alone(200)
    groups[100:] = groups[:100]  # every image stands twice
    parts = assign_folds(labels, groups, 2, 4, 0.2, 0)
    assert np.array_equal(parts[:100], parts[100:])


def test_the_split_is_known_by_its_seed() -> None:
    labels = np.tile([0, 1, 2], 100)
    first, again, other = (assign_folds(labels, alone(300), 3, 5, 0.1, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_split_is_the_same_on_every_machine() -> None:
    """Folds that move would mix up runs of different machines: a known split, read off once."""
    parts = assign_folds(np.tile([0, 1], 10), alone(20), 2, 3, 0.2, 7)
    assert parts.tolist() == KNOWN_SPLIT


KNOWN_SPLIT = [0, 1, 1, 2, 0, 2, 2, 1, -1, 0, 1, 0, -1, 0, 0, -1, 1, -1, 2, 2]


def test_too_small_a_class_is_explained() -> None:
    labels = np.repeat([0, 1], [50, 3])
    with pytest.raises(UserError, match=r'class 1 has 3 different images, too few for 5 folds.*SET="data.folds=2"'):
        assign_folds(labels, alone(53), 2, 5, 0.1, 0)
    with pytest.raises(UserError, match=r"class 1 has 2 different images, .*remove this class"):
        assign_folds(labels[:-1], alone(52), 2, 2, 0.1, 0)


def test_too_small_a_holdout_is_explained() -> None:
    with pytest.raises(UserError, match="cannot hold all 3 classes"):
        assign_folds(np.tile([0, 1, 2], 30), alone(90), 3, 2, 0.01, 0)


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(UserError, match="class 1 has no image in the training file: every label from 0 to 2"):
        assign_folds(np.repeat([0, 2], 50), alone(100), 3, 5, 0.1, 0)
