"""What must hold of every method of combining members, on random ones."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from digits.ensemble.combine import (
    LOGITS,
    PROBABILITIES,
    Space,
    WeightedMean,
    cross_fitted,
    from_json,
    greedy_selection,
    mean,
    methods,
    stacking,
)
from digits.evaluation.metrics import accuracy, log_loss

pytestmark = pytest.mark.usefixtures("one_blas_thread")
SPACES = pytest.mark.parametrize("space", [PROBABILITIES, LOGITS], ids=lambda space: space.name)


def members_and_labels(seed: int, members: int, count: int = 120) -> tuple[list[np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 4)
    made = []
    for skill in generator.uniform(0, 3, members):
        logits = generator.normal(size=(count, 4)) + skill * np.eye(4)[labels]
        made.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return made, labels


@SPACES
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_greedy_blend_is_never_worse_than_its_best_member(space: Space, seed: int, count: int) -> None:
    members, labels = members_and_labels(seed, count)
    found = greedy_selection(space, 20)(members, labels)
    assert isinstance(found, WeightedMean)
    assert (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(1)
    best = min(log_loss(member, labels) for member in members)
    assert log_loss(found(members), labels) <= best + 1e-9


@pytest.mark.parametrize("name", methods(4, 20, 0.1))
@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_the_order_of_members_does_not_matter(name: str, seed: int) -> None:
    members, labels = members_and_labels(seed, 4)
    method = methods(4, 20, 0.1)[name]
    backward = members[::-1]
    assert np.allclose(method(members, labels)(members), method(backward, labels)(backward), atol=2e-3)


@pytest.mark.parametrize("name", methods(4, 20, 0.1))
def test_every_blend_is_probabilities(name: str) -> None:
    members, labels = members_and_labels(7, 4)
    members[1][:, 2] = 0  # of a class that it never sees
    members[1] /= members[1].sum(axis=1, keepdims=True)
    blended = methods(4, 20, 0.1)[name](members, labels)(members)
    assert blended.shape == (120, 4)
    assert (blended >= 0).all()
    assert np.allclose(blended.sum(axis=1), 1)
    assert accuracy(blended, labels).value >= min(accuracy(member, labels).value for member in members)


def test_one_member_is_taken_as_it_is() -> None:
    (member,), labels = members_and_labels(1, 1)
    assert [*methods(1, 20, 0.1)] == ["alone"]
    assert np.array_equal(methods(1, 20, 0.1)["alone"]([member], labels)([member]), member)


def test_the_best_of_all_rounds_is_kept() -> None:
    """Two members that are right on one half each are best in equal parts, which three draws cannot end in."""
    labels = np.zeros(4, dtype=int)
    sure, unsure = [0.9, 0.1], [0.2, 0.8]
    members = [np.array([sure, sure, unsure, unsure]), np.array([unsure, unsure, sure, sure])]
    found = greedy_selection(PROBABILITIES, 3)(members, labels)
    assert isinstance(found, WeightedMean)
    assert found.weights.tolist() == [0.5, 0.5]


@SPACES
def test_identical_members_blend_to_themselves(space: Space) -> None:
    (member,), labels = members_and_labels(1, 1)
    for method in (mean(space), greedy_selection(space, 10)):
        assert np.allclose(method([member, member, member], labels)([member] * 3), member)


def test_the_mean_of_logits_is_the_geometric_mean() -> None:
    (some, other), labels = members_and_labels(5, 2)
    product = np.sqrt(some * other)
    expected = product / product.sum(axis=1, keepdims=True)
    assert np.allclose(mean(LOGITS)([some, other], labels)([some, other]), expected)


def test_blend_refuses_what_does_not_match() -> None:
    half = WeightedMean(np.array([0.5, 0.5]), PROBABILITIES)
    with pytest.raises(ValueError, match=r"\(2, 3\), \(3, 3\)"):
        half([np.ones((3, 3)), np.ones((2, 3))])
    with pytest.raises(ValueError, match=r"1 members of shapes .* with 2 weights"):
        half([np.ones((3, 3))])


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("name", methods(3, 20, 0.1))
def test_what_is_written_combines_as_before(name: str, classes: int) -> None:
    """Also a stack of two classes, whose logistic regression has one row of coefficients."""
    members, labels = members_and_labels(3, 3)
    members, labels = (
        [member[:, :classes] / member[:, :classes].sum(axis=1, keepdims=True) for member in members],
        labels % classes,
    )
    made = methods(3, 20, 0.1)[name](members, labels)
    again = from_json(json.loads(json.dumps(made.to_json())))
    assert np.array_equal(again(members), made(members))


@pytest.mark.parametrize("classes", [2, 4])
def test_a_stack_is_the_logistic_regression_of_scikit_learn(classes: int) -> None:
    members, labels = members_and_labels(3, 3)
    labels %= classes
    members = [member[:, :classes] / member[:, :classes].sum(axis=1, keepdims=True) for member in members]
    features = np.log(np.concatenate(members, axis=1))
    fitted = LogisticRegression(C=0.1, max_iter=200).fit(features, labels)
    assert np.allclose(stacking(0.1)(members, labels)(members), fitted.predict_proba(features), atol=1e-12)


def test_a_stack_learns_which_member_to_trust_for_which_class() -> None:
    """One member knows two of the classes, one the others; no weights can say so, a stack can."""
    members, labels = members_and_labels(2, 2, 4000)
    truth = np.eye(4)[labels]
    for member, known in zip(members, ([0, 1], [2, 3]), strict=True):
        ignorant = ~np.isin(labels, known)
        member[:] = 0.1 + 0.6 * truth
        member[ignorant] = 0.25
    members[0][np.isin(labels, [2, 3])] = [0.7, 0.1, 0.1, 0.1]  # sure where it knows nothing
    found = cross_fitted(stacking(1.0), members, labels, (np.arange(4000) % 4).astype(np.int8))
    plain = cross_fitted(greedy_selection(PROBABILITIES, 20), members, labels, (np.arange(4000) % 4).astype(np.int8))
    assert log_loss(found, labels) < log_loss(plain, labels)


@pytest.mark.parametrize("known", [[0, 1, 2], [1]])
def test_a_class_that_a_stack_has_not_seen_has_hardly_any_probability(known: list[int]) -> None:
    members, labels = members_and_labels(2, 2)
    seen = np.isin(labels, known)
    found = stacking(1.0)([member[seen] for member in members], labels[seen])(members)
    assert found.shape == (120, 4)
    assert found.sum(axis=1) == pytest.approx(np.ones(120))
    assert (found > 0).all()
    assert np.delete(found, known, axis=1).max() < 1e-6
    assert (found.argmax(axis=1) == labels)[seen].mean() > 0.5


@pytest.mark.parametrize("name", methods(3, 20, 0.1))
def test_cross_fitted_predictions_never_use_their_own_fold(name: str) -> None:
    """A member that is right only where it has seen the answer, in one fold, must get no credit there."""
    method = methods(3, 20, 0.1)[name]
    members, labels = members_and_labels(3, 2)
    folds = (np.arange(120) % 3).astype(np.int8)
    leaking = np.full((120, 4), 0.25)
    leaking[folds == 0] = np.eye(4)[labels[folds == 0]] * 0.97 + 0.0075
    result = cross_fitted(method, [*members, leaking], labels, folds)
    inside = folds == 0
    fitted = method([member[~inside] for member in [*members, leaking]], labels[~inside])
    assert np.array_equal(result[inside], fitted([member[inside] for member in [*members, leaking]]))
    if not name.startswith("mean"):
        greedy = method([*members, leaking], labels)([*members, leaking])
        assert log_loss(result, labels) > log_loss(greedy, labels)


def test_a_single_fold_is_judged_by_halves() -> None:
    members, labels = members_and_labels(4, 3)
    one = np.zeros(120, np.int8)
    halves = (np.arange(120) % 2).astype(np.int8)
    method = greedy_selection(PROBABILITIES, 20)
    assert np.array_equal(cross_fitted(method, members, labels, one), cross_fitted(method, members, labels, halves))
