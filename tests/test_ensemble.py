"""What must hold of every blend, on random members."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.ensemble import blend, climb, cross_fitted
from digits.metrics import log_loss


def members_and_labels(seed: int, members: int) -> tuple[list[np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, 120)
    made = []
    for skill in generator.uniform(0, 3, members):
        logits = generator.normal(size=(120, 4)) + skill * np.eye(4)[labels]
        made.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return made, labels


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_climbed_blend_is_never_worse_than_its_best_member(seed: int, count: int) -> None:
    members, labels = members_and_labels(seed, count)
    weights = climb(members, labels, rounds=20)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    best = min(log_loss(member, labels) for member in members)
    assert log_loss(blend(members, weights), labels) <= best + 1e-9


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_the_order_of_members_does_not_matter(seed: int) -> None:
    members, labels = members_and_labels(seed, 4)
    forward, backward = climb(members, labels, 20), climb(members[::-1], labels, 20)
    assert np.allclose(blend(members, forward), blend(members[::-1], backward))


def test_the_best_mean_met_on_the_way_is_kept() -> None:
    """Two members that are right on one half each are best in equal parts, which three draws cannot end in."""
    labels = np.zeros(4, dtype=int)
    sure, unsure = [0.9, 0.1], [0.2, 0.8]
    members = [np.array([sure, sure, unsure, unsure]), np.array([unsure, unsure, sure, sure])]
    assert climb(members, labels, rounds=3).tolist() == [0.5, 0.5]


def test_identical_members_blend_to_themselves() -> None:
    (member,), labels = members_and_labels(1, 1)
    weights = climb([member, member, member], labels, 10)
    assert np.allclose(blend([member] * 3, weights), member)


def test_blend_refuses_what_does_not_match() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), \(3, 3\)"):
        blend([np.ones((3, 3)), np.ones((2, 3))], np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="1 weights"):
        blend([np.ones((3, 3))] * 2, np.array([1.0]))


def test_cross_fitted_weights_never_see_their_own_fold() -> None:
    """A member that is right only where it has seen the answer, in one fold, must get no credit there."""
    members, labels = members_and_labels(3, 2)
    folds = (np.arange(120) % 3).astype(np.int8)
    leaking = np.full((120, 4), 0.25)
    leaking[folds == 0] = np.eye(4)[labels[folds == 0]] * 0.97 + 0.0075
    result = cross_fitted([*members, leaking], labels, folds, 20)
    without = blend(
        [member[folds == 0] for member in [*members, leaking]],
        climb([member[folds != 0] for member in [*members, leaking]], labels[folds != 0], 20),
    )
    assert np.array_equal(result[folds == 0], without)
    greedy = blend([*members, leaking], climb([*members, leaking], labels, 20))
    assert log_loss(result, labels) > log_loss(greedy, labels)
