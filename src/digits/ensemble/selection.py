"""Selects the method of combining the members: each is cross-fitted, and the simplest of the best is used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.ensemble.combine import Combination, Method, Probabilities, WeightedMean, cross_fitted, parts
from digits.evaluation.metrics import accuracy, log_loss, paired_loss_reduction
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, Metric


@dataclass(frozen=True)
class Member:
    """A run's probabilities.

    rows: (n,), the labelled images that `oof`, (n, classes), predicts. holdout: (folds, h, classes), by the model of
    each fold. test: (models, m, classes), by these models and the refits.
    """

    name: str
    rows: NDArray[np.int64]
    oof: Probabilities
    holdout: Probabilities
    test: Probabilities


@dataclass(frozen=True)
class Candidate:
    """A method of combining the members, with its scores on rows that it was not fitted on.

    score: by the competition's metric. gap, error: how much worse it is than the best candidate, and the standard error
    of this gap. loss_gap, loss_error: the same in log loss (nats). Where labels are submitted, both are temperature
    scaled for it: poor calibration costs nothing then and should not count against a method.
    """

    name: str
    score: float
    accuracy: float
    gap: float
    error: float
    log_loss: float
    loss_gap: float
    loss_error: float

    @property
    def near_best(self) -> bool:
        """Within one standard error of the best candidate, both by the metric and in log loss."""
        return self.gap <= self.error and self.loss_gap <= self.loss_error


@dataclass(frozen=True)
class Contribution:
    """A member's own scores, out of fold, and what it adds to the blend.

    name: of the member. score: by the competition's metric. weight: 0 to 1; None in a stack. gain, error: how much
    better the blend is with the member than without it, and the standard error of this gain; None for the only member.
    """

    name: str
    score: float
    accuracy: float
    log_loss: float
    weight: float | None
    gain: float | None
    error: float | None


@dataclass(frozen=True)
class Selection:
    """The selected method, and its combination fitted on all rows.

    oof: (n, classes), cross-fitted: each row is predicted with the method and the weights that the other folds choose.
    candidates: all that were compared, simplest first. contributions: one per member, in their order.
    """

    method: str
    members: tuple[Member, ...]
    combination: Combination
    oof: Probabilities
    candidates: list[Candidate]
    contributions: list[Contribution]


def select_method(
    members: Sequence[Member],
    methods: Mapping[str, Method],
    labels: NDArray[np.int64],
    folds: NDArray[np.int8],
    metric: Metric = ACCURACY,
) -> Selection:
    """Cross-fit every method, and select the simplest that is near the best by the metric.

    methods: simplest first. labels, folds: (n,), of the members' rows. The holdout is not read.
    """
    predicted = [member.oof for member in members]
    oof = {name: cross_fitted(method, predicted, labels, folds) for name, method in methods.items()}
    candidates = compare(oof, labels, metric)
    selected = one_standard_error_rule(candidates).name
    combination = methods[selected](predicted, labels)
    return Selection(
        method=selected,
        members=tuple(members),
        combination=combination,
        oof=_selected_by_others(oof, labels, folds, metric),
        candidates=candidates,
        contributions=_contributions(members, methods[selected], combination, oof[selected], labels, folds, metric),
    )


def _selected_by_others(
    oof: Mapping[str, Probabilities], labels: NDArray[np.int64], folds: NDArray[np.int8], metric: Metric
) -> Probabilities:
    """Predicts each fold's rows by the candidate that the other rows select, (n, classes); oof: simplest first.

    The best of several candidates scores too well on the rows that it was selected on. This avoids it, but for one
    dependence: the weights that predict the other folds' rows were fitted on this fold, too.
    """
    result = np.empty(next(iter(oof.values())).shape)
    for inside in parts(folds):
        others = compare({name: own[~inside] for name, own in oof.items()}, labels[~inside], metric)
        result[inside] = oof[one_standard_error_rule(others).name][inside]
    return result


def compare(oof: Mapping[str, Probabilities], labels: NDArray[np.int64], metric: Metric = ACCURACY) -> list[Candidate]:
    """Each candidate's scores and its gap to the best one, in the order given.

    oof: (n, classes) by the candidates' names. The errors are those of differences on the same images (see
    `Metric.gain` and `paired_loss_reduction`).
    """
    # loads SciPy, which a finished blend does not need
    from digits.evaluation.calibration import at_temperature, best_temperature  # noqa: PLC0415

    best = best_candidate(oof, labels, metric)
    calibrated = oof
    if metric is not LOG_LOSS:
        calibrated = {name: at_temperature(own, best_temperature(own, labels)) for name, own in oof.items()}
    candidates = []
    for name, own in oof.items():
        gap, error = metric.gain(oof[best], own, labels)
        loss_gap, loss_error = paired_loss_reduction(calibrated[best], calibrated[name], labels)
        candidates.append(
            Candidate(
                name=name,
                **_scores(own, labels, metric),
                gap=gap,
                error=error,
                loss_gap=loss_gap,
                loss_error=loss_error,
            )
        )
    return candidates


def one_standard_error_rule(candidates: Sequence[Candidate]) -> Candidate:
    """The first candidate that is near the best; candidates: simplest first.

    L. Breiman et al. (1984), Classification and regression trees, section 3.4.3, where the rule chooses the size of a
    tree. Near an accuracy of 1 few images are wrong; the log loss, to which every image contributes, separates methods
    that the accuracy cannot.
    """
    return next(candidate for candidate in candidates if candidate.near_best)


def best_candidate(oof: Mapping[str, Probabilities], labels: NDArray[np.int64], metric: Metric = ACCURACY) -> str:
    """Name of the best candidate by the metric; ties go to the lowest log loss."""

    def key(name: str) -> tuple[float, float]:
        return metric.sign * metric.value(oof[name], labels), -log_loss(oof[name], labels)

    return max(oof, key=key)


def _contributions(
    members: Sequence[Member],
    method: Method,
    combination: Combination,
    blended: Probabilities,
    labels: NDArray[np.int64],
    folds: NDArray[np.int8],
    metric: Metric,
) -> list[Contribution]:
    contributions = []
    for place, member in enumerate(members):
        others = [other.oof for other in members if other is not member]
        gain, error = (
            metric.gain(blended, cross_fitted(method, others, labels, folds), labels) if others else (None, None)
        )
        weight = float(combination.weights[place]) if isinstance(combination, WeightedMean) else None
        contributions.append(
            Contribution(member.name, **_scores(member.oof, labels, metric), weight=weight, gain=gain, error=error)
        )
    return contributions


def _scores(probabilities: Probabilities, labels: NDArray[np.int64], metric: Metric) -> dict[str, float]:
    return {
        "score": metric.value(probabilities, labels),
        "accuracy": accuracy(probabilities, labels).value,
        "log_loss": log_loss(probabilities, labels),
    }
