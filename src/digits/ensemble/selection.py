"""Which method of combining members is taken: each judged on images it was not fitted on, the simplest of the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.ensemble.combine import Combination, Method, Probabilities, Weighted, cross_fitted
from digits.evaluation.metrics import accuracy, log_loss, paired_gain, paired_saving


@dataclass(frozen=True)
class Member:
    """What one run says of each image.

    rows: (n,), the labelled images that `oof`, (n, classes), is about. holdout: (folds, h, classes), of the model of
    each fold. test: (models, m, classes), of these and of models that have learned from all labelled images.
    """

    name: str
    rows: NDArray[np.int64]
    oof: Probabilities
    holdout: Probabilities
    test: Probabilities

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What must be the same for all members of a blend; they may have any number of models."""
        return {"oof": self.oof.shape, "holdout": self.holdout.shape, "test": self.test.shape[1:]}


@dataclass(frozen=True)
class Candidate:
    """A method to combine one variant of the members, and how good it is on images that it was not fitted on.

    gap, error: the most accurate candidate, in accuracy, and the standard error of that. loss_gap, loss_error:
    the same in log loss (nats), each at its best temperature: what another temperature mends is no fault of a method.
    """

    name: str
    accuracy: float
    gap: float
    error: float
    log_loss: float
    loss_gap: float
    loss_error: float

    @property
    def near_the_best(self) -> bool:
        """At most one standard error gap, in accuracy and in log loss."""
        return self.gap <= self.error and self.loss_gap <= self.loss_error


@dataclass(frozen=True)
class Contribution:
    """What a member is contribution alone, and to the blend.

    member: its name. accuracy, log_loss: alone, out of fold. weight: None in a stack. gain, error: in accuracy, of the
    blend with the member over the one without, and its standard error; None where it is the only one.
    """

    member: str
    accuracy: float
    log_loss: float
    weight: float | None
    gain: float | None
    error: float | None


@dataclass(frozen=True)
class Selection:
    """What was taken, and the combination fitted on all rows. oof: (n, classes), each row by the other folds' weights.

    candidates: simplest first. contributions: of the members, in their order.
    """

    method: str
    members: tuple[Member, ...]
    combination: Combination
    oof: Probabilities
    candidates: list[Candidate]
    contributions: list[Contribution]


def refuse_mismatch(members: Sequence[Member]) -> None:
    """Raise ValueError, naming two of the members, where they are not about the same images and classes."""
    first = members[0]
    for other in members[1:]:
        if not np.array_equal(first.rows, other.rows):
            raise ValueError(f"{first.name} and {other.name} predict different rows: {_differ(first.rows, other.rows)}")
        for part, shape in first.shapes().items():
            if shape != (found := other.shapes()[part]):
                raise ValueError(f"{first.name} has {part} probabilities of shape {shape}, {other.name} of {found}")


def _differ(some: NDArray[np.int64], others: NDArray[np.int64]) -> str:
    if len(some) != len(others):
        return f"{len(some)} and {len(others)} of them"
    at = int((some != others).argmax())
    return f"row {some[at]} and row {others[at]} in place {at}"


def select(
    variants: Mapping[str, Sequence[Member]],
    methods: Mapping[str, Method],
    labels: NDArray[np.int64],
    folds: NDArray[np.int8],
) -> Selection:
    """Judge every method of combining every variant of the members, and take the simplest of the best.

    variants: the same members, seen in one method or another, simplest first; {"": members} where there is but one.
    methods: simplest first. labels, folds: (n,), of the members' rows. Nothing of the holdout is looked at.
    """
    asked = {
        f"{method}, {variant}" if variant else method: (method, variant) for method in methods for variant in variants
    }
    for members in variants.values():
        refuse_mismatch(members)
    judged = {
        candidate: cross_fitted(methods[method], [member.oof for member in variants[variant]], labels, folds)
        for candidate, (method, variant) in asked.items()
    }
    candidates = compared(judged, labels)
    taken = simplest_of_the_best(candidates).name
    method, variant = asked[taken]
    members = tuple(variants[variant])
    combination = methods[method]([member.oof for member in members], labels)
    return Selection(
        method=taken,
        members=members,
        combination=combination,
        oof=judged[taken],
        candidates=candidates,
        contributions=_contributions(members, methods[method], combination, judged[taken], labels, folds),
    )


def compared(judged: Mapping[str, Probabilities], labels: NDArray[np.int64]) -> list[Candidate]:
    """Each of the `judged`, (n, classes), beside the most accurate of them, in the order given.

    The errors are those of differences on the same images (see `paired_gain` and `paired_saving`).
    """
    # loads SciPy, which what is blended already need not wait for
    from digits.evaluation.calibration import at_temperature, best_temperature  # noqa: PLC0415

    best = most_accurate(judged, labels)
    sure = {name: at_temperature(found, best_temperature(found, labels)) for name, found in judged.items()}
    candidates = []
    for name, found in judged.items():
        gap, error = paired_gain(judged[best], found, labels)
        loss_gap, loss_error = paired_saving(sure[best], sure[name], labels)
        candidates.append(
            Candidate(
                name=name,
                **_merit(found, labels),
                gap=gap,
                error=error,
                loss_gap=loss_gap,
                loss_error=loss_error,
            )
        )
    return candidates


def simplest_of_the_best(candidates: Sequence[Candidate]) -> Candidate:
    """The first that is near the best.

    candidates: simplest first. L. Breiman et al. (1984), Classification and regression trees, section 3.4.3, where the
    rule of one standard error chooses a tree. Near an accuracy of 1 few images are wrong, and the log loss, in which
    every image has its part, tells apart what the accuracy cannot.
    """
    return next(candidate for candidate in candidates if candidate.near_the_best)


def most_accurate(judged: Mapping[str, Probabilities], labels: NDArray[np.int64]) -> str:
    """Name of the most accurate; of equally accurate ones, that with the lowest log loss."""

    def merit(name: str) -> tuple[float, float]:
        return accuracy(judged[name], labels).value, -log_loss(judged[name], labels)

    return max(judged, key=merit)


def _contributions(
    members: Sequence[Member],
    method: Method,
    combination: Combination,
    blended: Probabilities,
    labels: NDArray[np.int64],
    folds: NDArray[np.int8],
) -> list[Contribution]:
    contributions = []
    for place, member in enumerate(members):
        others = [other.oof for other in members if other is not member]
        gain, error = (
            paired_gain(blended, cross_fitted(method, others, labels, folds), labels) if others else (None, None)
        )
        weight = float(combination.weights[place]) if isinstance(combination, Weighted) else None
        contributions.append(
            Contribution(member.name, **_merit(member.oof, labels), weight=weight, gain=gain, error=error)
        )
    return contributions


def _merit(probabilities: Probabilities, labels: NDArray[np.int64]) -> dict[str, float]:
    return {"accuracy": accuracy(probabilities, labels).value, "log_loss": log_loss(probabilities, labels)}
