"""Folds and holdout partition the rows, keep the classes' shares, and keep repeated images together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.errors import UserError
from digits.data.dataset import HOLDOUT, LEARNED
from digits.data.folds import assign_folds


def alone(count: int) -> np.ndarray:
    return np.arange(count)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 6), st.floats(0.1, 0.4), st.integers(0, 1000))
def test_every_part_has_the_shares_of_the_classes(folds: int, holdout: float, seed: int) -> None:
    labels = np.repeat([0, 1, 2], [300, 200, 100])
    parts, _ = assign_folds(labels, alone(600), 3, folds, holdout, seed)
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
    parts, _ = assign_folds(labels, groups, 2, 4, 0.2, 0)
    assert np.array_equal(parts[:100], parts[100:])


def test_the_split_is_known_by_its_seed() -> None:
    labels = np.tile([0, 1, 2], 100)
    first, again, other = (assign_folds(labels, alone(300), 3, 5, 0.1, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_split_is_the_same_on_every_machine() -> None:
    """Folds that move would mix up runs of different machines: a known split, read off once."""
    parts, _ = assign_folds(np.tile([0, 1], 10), alone(20), 2, 3, 0.2, 7)
    assert parts.tolist() == KNOWN_SPLIT


KNOWN_SPLIT = [0, 1, 1, 2, 0, 2, 2, 1, -1, 0, 1, 0, -1, 0, 0, -1, 1, -1, 2, 2]


def test_a_rare_class_is_learned_first_then_judged_and_never_in_the_holdout() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 3, 1, 50])
    parts, notices = assign_folds(labels, alone(104), 4, 5, 0.1, 0)
    assert set(parts[labels == 2]) == {LEARNED}
    assert (parts[labels == 1] >= 0).all()
    assert len(set(parts[labels == 1])) == 3  # so every model learns from two of them
    assert set(labels[parts == HOLDOUT]) == {0, 3}
    assert "2 classes have too few images" in notices[0]
    assert "1 with one image are learned but never judged" in notices[0]


def test_rare_classes_do_not_move_the_others() -> None:
    labels = np.repeat([0, 1], 50)
    plain, _ = assign_folds(labels, alone(100), 2, 5, 0.1, 3)
    with_rare, _ = assign_folds(np.append(labels, [2, 2]), alone(102), 3, 5, 0.1, 3)
    assert np.array_equal(plain, with_rare[:100])


def test_a_holdout_has_an_image_of_each_class() -> None:
    labels = np.tile(np.arange(26), 8)
    parts, notices = assign_folds(labels, alone(208), 26, 5, 0.1, 0)
    assert sorted(labels[parts == HOLDOUT]) == list(range(26))
    assert "it has 26 images" in notices[0]


def test_too_few_images_are_explained_and_the_remedy_works() -> None:
    labels = np.tile(np.arange(4), 3)
    with pytest.raises(UserError, match=r'the smallest has 3 different images; use fewer folds: SET="data.folds=2"'):
        assign_folds(labels, alone(12), 4, 5, 0.1, 0)
    parts, _ = assign_folds(labels, alone(12), 4, 2, 0.1, 0)
    assert set(parts) == {HOLDOUT, 0, 1}
    with pytest.raises(UserError, match="every class needs three or more"):
        assign_folds(labels[:8], alone(8), 4, 2, 0.1, 0)
