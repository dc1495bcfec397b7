"""Methods of combining the members' probabilities, and cross-fitting, which scores them on data not used to fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-7  # floor of a probability, so that one confident mistake does not make the log loss infinite

Probabilities = NDArray[np.floating]  # (n, classes)


class Combination(Protocol):
    """Makes the blend of its members."""

    def __call__(self, members: Sequence[Probabilities]) -> NDArray[np.float64]:
        """The blend's probabilities, (n, classes), from the members', in the order of the fit."""

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs to make the same combination."""


# fits a combination to the members' probabilities and the labels, (n,)
Method = Callable[[Sequence[Probabilities], NDArray[np.int64]], Combination]


@dataclass(frozen=True)
class Space:
    """A space to average members in: `transform` maps probabilities to it, `inverse` back; arrays (..., classes)."""

    name: str
    transform: Callable[[Probabilities], NDArray[np.float64]]
    inverse: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _log(probabilities: Probabilities) -> NDArray[np.float64]:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


PROBABILITIES = Space("probabilities", lambda values: np.asarray(values, np.float64), lambda values: values)
LOGITS = Space("logits", _log, _softmax)
SPACES = (PROBABILITIES, LOGITS)


@dataclass(frozen=True)
class WeightedMean:
    """A weighted mean in `space`. weights: (members,), not negative, with sum 1."""

    weights: NDArray[np.float64]
    space: Space

    def __call__(self, members: Sequence[Probabilities]) -> NDArray[np.float64]:
        """The blend, (n, classes). Raises ValueError if shapes or counts do not match."""
        shapes = {member.shape for member in members}
        if len(shapes) != 1 or len(members) != len(self.weights):
            raise ValueError(
                f"cannot blend {len(members)} members of shapes {sorted(shapes)} with {len(self.weights)} weights"
            )
        total = np.zeros(shapes.pop())
        for member, weight in zip(members, self.weights, strict=True):
            if weight:
                total += weight * self.space.transform(member)
        return self.space.inverse(total)

    def to_json(self) -> dict[str, Any]:
        """As `Combination` has it."""
        return {"space": self.space.name, "weights": self.weights.tolist()}


@dataclass(frozen=True)
class Stack:
    """A multinomial logistic regression on the log-probabilities of all members.

    coefficients: (classes, members * classes). intercepts: (classes,), the smallest for classes that it has not seen.
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def __call__(self, members: Sequence[Probabilities]) -> NDArray[np.float64]:
        """The blend, (n, classes)."""
        return _softmax(_features(members) @ self.coefficients.T + self.intercepts)

    def to_json(self) -> dict[str, Any]:
        """As `Combination` has it."""
        return {"coefficients": self.coefficients.tolist(), "intercepts": self.intercepts.tolist()}


def from_json(content: dict[str, Any]) -> Combination:
    """The combination whose `to_json` gave `content`."""
    if "space" in content:
        return WeightedMean(np.array(content["weights"]), {space.name: space for space in SPACES}[content["space"]])
    return Stack(np.array(content["coefficients"]), np.array(content["intercepts"]))


def _features(members: Sequence[Probabilities]) -> NDArray[np.float64]:
    """What a stack learns from, (n, members * classes)."""
    return np.concatenate([_log(member) for member in members], axis=1)


def mean(space: Space) -> Method:
    """The mean, with equal weights."""

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> WeightedMean:
        return WeightedMean(np.full(len(members), 1 / len(members)), space)

    return method


def greedy_selection(space: Space, rounds: int) -> Method:
    """A weighted mean by greedy forward selection with replacement, which minimises the log loss.

    It starts from the member with the lowest log loss. Each of `rounds` adds the member that lowers the log loss of the
    mean most, and the best of these means is used. So on the labels that it is fitted on, the blend is never worse than
    the best member (R. Caruana et al., 2004, Ensemble selection from libraries of models, ICML, section 2). Ties go to
    the member that comes first.
    """

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> WeightedMean:
        rows = np.arange(len(labels))
        transformed = np.stack([space.transform(member) for member in members])  # (members, n, classes)
        counts, total = np.zeros(len(members)), np.zeros(transformed.shape[1:])
        best_loss, best_counts = np.inf, counts
        for drawn in range(1, rounds + 1):
            losses = [-_log(space.inverse((total + one) / drawn)[rows, labels]).mean() for one in transformed]
            chosen = int(np.argmin(losses))
            counts[chosen] += 1
            total += transformed[chosen]
            if losses[chosen] < best_loss:
                best_loss, best_counts = losses[chosen], counts.copy()
        return WeightedMean(best_counts / best_counts.sum(), space)

    return method


def stacking(C: float) -> Method:
    """A multinomial logistic regression on all members' log-probabilities; C: 1 / strength of its L2 regularisation.

    D. H. Wolpert (1992), Stacked generalization, Neural networks 5, p. 241. A class that is not among the labels of the
    fit gets a probability near 0.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a finished blend does not need it

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> Stack:
        features, seen, classes = _features(members), np.unique(labels), members[0].shape[1]
        coefficients, intercepts = np.zeros((classes, features.shape[1])), np.full(classes, np.log(_SMALLEST))
        intercepts[seen] = 0.0
        if len(seen) > 1:
            fitted = LogisticRegression(C=C, max_iter=200).fit(features, labels)
            # of two classes, only the second one has coefficients
            rows = seen[-len(fitted.intercept_) :]
            coefficients[rows], intercepts[rows] = fitted.coef_, fitted.intercept_
        return Stack(coefficients, intercepts)

    return method


def methods(members: int, rounds: int, C: float) -> dict[str, Method]:
    """The methods for this number of members, simplest first; rounds, C: see `greedy_selection` and `stacking`."""
    if members == 1:
        return {"alone": mean(PROBABILITIES)}
    return {
        "mean": mean(PROBABILITIES),
        "mean of logits": mean(LOGITS),
        "weighted mean": greedy_selection(PROBABILITIES, rounds),
        "weighted mean of logits": greedy_selection(LOGITS, rounds),
        "stack": stacking(C),
    }


def parts(folds: NDArray[np.int8]) -> list[NDArray[np.bool_]]:
    """A mask of the rows of each fold, (n,); a single fold is split into its even and odd rows."""
    numbers = folds if len(np.unique(folds)) > 1 else np.arange(len(folds)) % 2
    return [numbers == number for number in np.unique(numbers)]


def cross_fitted(
    method: Method, members: Sequence[Probabilities], labels: NDArray[np.int64], folds: NDArray[np.int8]
) -> NDArray[np.float64]:
    """The blend's probabilities, (n, classes): for each fold's rows by the combination fitted on the others.

    members: (n, classes) each; labels, folds: (n,). So no weight is scored on the rows that it was chosen on.
    """
    result = np.zeros(members[0].shape)
    for inside in parts(folds):
        combination = method([member[~inside] for member in members], labels[~inside])
        result[inside] = combination([member[inside] for member in members])
    return result
