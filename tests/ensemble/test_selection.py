"""The simplest method near the best is selected, and each member's contribution is measured."""

from collections.abc import Sequence

import numpy as np
import pytest

from digits.ensemble.combine import (
    LOGITS,
    PROBABILITIES,
    Method,
    Probabilities,
    WeightedMean,
    mean,
    methods,
)
from digits.ensemble.selection import (
    Member,
    best_candidate,
    compare,
    one_standard_error_rule,
    select_method,
)
from digits.evaluation.calibration import at_temperature
from digits.evaluation.metrics import accuracy, log_loss
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, MACRO_F1, METRICS, Metric

pytestmark = pytest.mark.usefixtures("one_blas_thread")
COUNT = 2000


def member(name: str, labels: np.ndarray, skill: float, seed: int) -> Member:
    """Predicts the true class more often, the larger its skill."""
    generator = np.random.default_rng(seed)

    def predict(truth: np.ndarray) -> np.ndarray:
        logits = generator.normal(size=(len(truth), 4)) + skill * np.eye(4)[truth]
        probabilities: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return probabilities

    other = generator.integers(0, 4, 50)
    parts = np.stack([predict(other), predict(other)])
    return Member(name, np.arange(len(labels)), predict(labels), parts, parts)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.arange(COUNT) % 4)


@pytest.fixture
def folds() -> np.ndarray:
    return (np.arange(COUNT) % 5).astype(np.int8)


def test_alike_members_are_simply_averaged(labels: np.ndarray, folds: np.ndarray) -> None:
    alike = [member(f"m{seed}", labels, 2.0, seed) for seed in range(3)]
    found = select_method(alike, methods(3, 20, 0.1), labels, folds)
    assert found.method.startswith("mean")
    assert [candidate.name for candidate in found.candidates] == [*methods(3, 20, 0.1)]
    assert [contribution.weight for contribution in found.contributions] == pytest.approx([1 / 3] * 3)
    assert all(contribution.gain and contribution.gain > 0 for contribution in found.contributions)


def test_a_member_that_harms_is_left_out(labels: np.ndarray, folds: np.ndarray) -> None:
    mixed = [member("good", labels, 3.0, 1), member("bad", labels, -2.0, 2), member("worse", labels, -2.0, 3)]
    found = select_method(mixed, methods(3, 20, 0.1), labels, folds)
    assert not found.method.startswith("mean")
    weighted = select_method(mixed, {"weighted mean": methods(3, 20, 0.1)["weighted mean"]}, labels, folds)
    assert [contribution.weight for contribution in weighted.contributions] == [1, 0, 0]
    good, bad, _ = (contribution.gain for contribution in weighted.contributions)
    assert good
    assert good > 0.5
    assert bad == 0


def test_a_candidate_is_judged_on_rows_that_it_was_not_fitted_on(labels: np.ndarray, folds: np.ndarray) -> None:
    """A method that learns the labels of its rows by heart knows nothing of others."""
    two = [member("a", labels, 1.0, 1), member("b", labels, 1.0, 2)]

    def by_heart(members: Sequence[Probabilities], truth: np.ndarray) -> WeightedMean:
        known = {row.tobytes(): label for row, label in zip(members[0], truth, strict=True)}

        class Remembers(WeightedMean):
            def __call__(self, members: Sequence[Probabilities]) -> np.ndarray:
                return np.array([np.eye(4)[known.get(row.tobytes(), 0)] for row in members[0]])

        return Remembers(np.array([0.5, 0.5]), LOGITS)

    found = select_method(two, {"mean": mean(LOGITS), "by heart": by_heart}, labels, folds)
    assert found.method == "mean"
    assert found.candidates[1].accuracy == pytest.approx(0.25, abs=0.02)


def simplest(judged: dict[str, np.ndarray], labels: np.ndarray) -> str:
    return one_standard_error_rule(compare(judged, labels)).name


def nearly_alike(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that differ on 20 images alone, between two classes: the first is right on 11, the other on 9."""
    better = member("", labels, 3.0, 1).oof
    worse = better.copy()
    for row in range(20):
        first, second = (0, 1) if row < 11 else (1, 0)
        classes = [(labels[row] + step) % 4 for step in (first, second, 2, 3)]
        better[row, classes] = [0.41, 0.39, 0.1, 0.1]
        worse[row, classes] = [0.39, 0.41, 0.1, 0.1]
    return better, worse


def test_the_simplest_within_one_standard_error(labels: np.ndarray) -> None:
    better, slightly = nearly_alike(labels)
    clearly = np.where(np.arange(COUNT)[:, None] % 20, better, better[:, ::-1])
    judged = {"simple": slightly, "better": better}
    worse, _ = compare(judged, labels)
    assert (worse.gap, worse.error) == (2 / COUNT, np.sqrt(20) / COUNT)
    assert 0 < worse.loss_gap < worse.loss_error
    assert best_candidate(judged, labels) == "better"
    assert simplest(judged, labels) == "simple"
    assert simplest({"simple": clearly, "better": better}, labels) == "better"
    assert simplest({"better": better, "simple": clearly}, labels) == "better"


def test_the_simplest_is_not_taken_where_its_log_loss_is_clearly_higher(labels: np.ndarray) -> None:
    """As accurate, but for a few images, and less confident of a third of them than of the rest."""
    better, slightly = nearly_alike(labels)
    uneven = np.where(np.arange(COUNT)[:, None] % 3, slightly, at_temperature(slightly, 5.0))
    worse, _ = compare({"simple": uneven, "better": better}, labels)
    assert 0 < worse.gap <= worse.error
    assert simplest({"simple": uneven, "better": better}, labels) == "better"
    # less confidence on all images alike is only another temperature, which costs nothing; so is a lower log loss
    assert simplest({"simple": at_temperature(slightly, 2.0), "better": better}, labels) == "simple"
    better_uneven = np.where(np.arange(COUNT)[:, None] % 3, better, at_temperature(better, 5.0))
    assert simplest({"simple": slightly, "better": better_uneven}, labels) == "simple"


def test_equally_accurate_ones_are_ordered_by_log_loss(labels: np.ndarray) -> None:
    unsure = np.eye(4)[labels] * 0.5 + 0.125
    sure = np.eye(4)[labels] * 0.9 + 0.025
    assert best_candidate({"unsure": unsure, "sure": sure}, labels) == "sure"


def test_a_member_alone_has_no_gain(labels: np.ndarray, folds: np.ndarray) -> None:
    [only] = select_method([member("m", labels, 1.0, 1)], methods(1, 20, 0.1), labels, folds).contributions
    assert (only.weight, only.gain, only.error) == (1, None, None)


def test_the_best_of_many_equals_is_not_reported_as_better_than_they_are() -> None:
    """Twelve methods are right on 80 % of the images, each by a luck of its own: so is what is selected among them."""
    generator = np.random.default_rng(0)
    folds = (np.arange(300) % 5).astype(np.int8)
    reported, best = [], []
    for _ in range(12):
        labels = generator.permutation(np.arange(300) % 4)
        guesses = np.where(generator.random((12, 300)) < 0.8, labels, (labels + 1) % 4)
        luck = [Member(f"m{number}", np.arange(300), *[np.eye(4)[guess]] * 3) for number, guess in enumerate(guesses)]

        def one(number: int) -> Method:
            return lambda members, labels: WeightedMean(np.eye(12)[number][: len(members)], PROBABILITIES)

        found = select_method(luck, {f"{number}": one(number) for number in range(12)}, labels, folds)
        reported.append(accuracy(found.oof, labels).value)
        best.append(max(candidate.accuracy for candidate in found.candidates))
    assert np.mean(best) > 0.825
    assert abs(np.mean(reported) - 0.8) < 3 * np.std(reported) / np.sqrt(12)


def rivals(labels: np.ndarray) -> dict[str, np.ndarray]:
    """One is right more often, one is less sure of its errors, one knows the rare class 3."""
    generator, truth = np.random.default_rng(3), np.eye(4)[labels]
    wrong = np.roll(truth, 1, axis=1)
    some, more = generator.random(len(labels)) < 0.05, generator.random(len(labels)) < 0.08
    often = np.where((some | (labels == 3))[:, None], wrong, truth)
    unsure = np.where(more[:, None], 0.5 * wrong + 0.45 * truth, 0.9 * truth)
    rare = np.where((more & (labels != 3))[:, None], wrong, truth)
    return {
        name: shares / shares.sum(axis=1, keepdims=True)
        for name, shares in (("often", often + 1e-3), ("unsure", unsure + 1e-3), ("rare", rare + 1e-6))
    }


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(ACCURACY, "often"), (LOG_LOSS, "unsure"), (MACRO_F1, "rare")],
    ids=["accuracy", "log-loss", "macro-f1"],
)
def test_each_metric_takes_the_candidate_that_is_best_by_it(metric: Metric, expected: str) -> None:
    labels = np.random.default_rng(0).choice(4, COUNT, p=[0.5, 0.3, 0.19, 0.01])
    judged = rivals(labels)
    assert best_candidate(judged, labels, metric) == expected
    candidates = {candidate.name: candidate for candidate in compare(judged, labels, metric)}
    assert (candidates[expected].gap, candidates[expected].error) == (0, 0)
    for name, candidate in candidates.items():
        assert candidate.score == metric.value(judged[name], labels)
        assert candidate.gap >= 0


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_blend_by_any_metric_is_no_worse_than_its_best_member(
    metric: Metric, labels: np.ndarray, folds: np.ndarray
) -> None:
    mixed = [member("good", labels, 3.0, 1), member("also", labels, 2.5, 2), member("bad", labels, -1.0, 3)]
    found = select_method(mixed, methods(3, 20, 0.1), labels, folds, metric)
    scores = [metric.sign * metric.value(each.oof, labels) for each in mixed]
    assert metric.sign * metric.value(found.oof, labels) >= max(scores)
    assert [contribution.score for contribution in found.contributions] == [metric.sign * score for score in scores]
    good, *_, bad = (contribution.gain for contribution in found.contributions)
    assert good is not None
    assert bad is not None
    assert good > max(bad, 0)  # also where a lower score is better


def test_where_probabilities_count_poor_calibration_does(labels: np.ndarray) -> None:
    better, slightly = nearly_alike(labels)
    judged = {"simple": at_temperature(slightly, 2.0), "better": better}
    assert one_standard_error_rule(compare(judged, labels, ACCURACY)).name == "simple"
    assert one_standard_error_rule(compare(judged, labels, LOG_LOSS)).name == "better"
    simple, _ = compare(judged, labels, LOG_LOSS)
    assert (simple.loss_gap, simple.loss_error) == (simple.gap, simple.error)  # nothing is calibrated first
    assert simple.gap == pytest.approx(log_loss(judged["simple"], labels) - log_loss(better, labels))
