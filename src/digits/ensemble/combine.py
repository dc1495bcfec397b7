"""Ways to combine members' probabilities, and predictions that no method has been fitted on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-7  # floor of a probability, so that one confident mistake does not make the log loss infinite

Probabilities = NDArray[np.floating]  # (n, classes)
Combination = Callable[[Sequence[Probabilities]], NDArray[np.float64]]  # members, in the order it was made for -> blend
Method = Callable[
    [Sequence[Probabilities], NDArray[np.int64]], Combination
]  # members and labels -> how to combine them


@dataclass(frozen=True)
class Space:
    """Where members are averaged: `enter` leads there from probabilities, `leave` back; arrays (..., classes)."""

    name: str
    enter: Callable[[Probabilities], NDArray[np.float64]]
    leave: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _log(probabilities: Probabilities) -> NDArray[np.float64]:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


PROBABILITIES = Space("probabilities", lambda found: np.asarray(found, np.float64), lambda found: found)
LOGITS = Space("logits", _log, _softmax)


@dataclass(frozen=True)
class Weighted:
    """A weighted mean in `space`. weights: (members,), non-negative, with sum 1."""

    weights: NDArray[np.float64]
    space: Space

    def __call__(self, members: Sequence[Probabilities]) -> NDArray[np.float64]:
        """The blend, (n, classes). Raises ValueError where shapes or counts do not match."""
        shapes = {member.shape for member in members}
        if len(shapes) != 1 or len(members) != len(self.weights):
            raise ValueError(
                f"cannot blend {len(members)} members of shapes {sorted(shapes)} with {len(self.weights)} weights"
            )
        total = np.zeros(shapes.pop())
        for member, weight in zip(members, self.weights, strict=True):
            if weight:
                total += weight * self.space.enter(member)
        return self.space.leave(total)


def mean(space: Space) -> Method:
    """All members alike."""

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> Weighted:
        return Weighted(np.full(len(members), 1 / len(members)), space)

    return method


def climb(space: Space, rounds: int) -> Method:
    """Greedy selection with replacement, by log loss.

    Start from the member with the lowest log loss; in each of `rounds` draw once more the one that lowers the log loss
    of the mean most, and keep the best mean met on the method, so the blend is never worse than the best member on the
    labels it is given (R. Caruana et al., 2004, Ensemble selection from libraries of models, ICML, section 2). Ties go
    to the member that comes first.
    """

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> Weighted:
        rows = np.arange(len(labels))
        entered = np.stack([space.enter(member) for member in members])  # (members, n, classes)
        counts, total = np.zeros(len(members)), np.zeros(entered.shape[1:])
        best_loss, best_counts = np.inf, counts
        for drawn in range(1, rounds + 1):
            losses = [-_log(space.leave((total + one) / drawn)[rows, labels]).mean() for one in entered]
            chosen = int(np.argmin(losses))
            counts[chosen] += 1
            total += entered[chosen]
            if losses[chosen] < best_loss:
                best_loss, best_counts = losses[chosen], counts.copy()
        return Weighted(best_counts / best_counts.sum(), space)

    return method


def stack(C: float) -> Method:
    """A multinomial regression on all members' log-probabilities; C: 1 / strength of its L2 regularisation.

    D. H. Wolpert (1992), Stacked generalization, Neural networks 5, p. 241. A class that none of the labels is of has
    hardly any probability.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - what is blended already need not wait for it

    def features(members: Sequence[Probabilities]) -> NDArray[np.float64]:
        return np.concatenate([_log(member) for member in members], axis=1)

    def method(members: Sequence[Probabilities], labels: NDArray[np.int64]) -> Combination:
        known = np.unique(labels)
        fitted = LogisticRegression(C=C, max_iter=200).fit(features(members), labels) if len(known) > 1 else None

        def combination(shown: Sequence[Probabilities]) -> NDArray[np.float64]:
            found = np.full(shown[0].shape, _SMALLEST)
            found[:, known] = fitted.predict_proba(features(shown)) if fitted else 1.0
            blended: NDArray[np.float64] = found / found.sum(axis=1, keepdims=True)
            return blended

        return combination

    return method


def methods(members: int, rounds: int, C: float) -> dict[str, Method]:
    """All methods to combine so many members, simplest first."""
    averages = {"mean": mean(PROBABILITIES), "mean of logits": mean(LOGITS)}
    if members == 1:
        return {"alone": mean(PROBABILITIES)}
    weighted = {"weighted mean": climb(PROBABILITIES, rounds), "weighted mean of logits": climb(LOGITS, rounds)}
    return averages | weighted | {"stack": stack(C)}


def cross_fitted(
    method: Method, members: Sequence[Probabilities], labels: NDArray[np.int64], folds: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Blended probabilities, (n, classes), in which every row is combined as the other folds alone would have it.

    So the score of the result is not flattered by having chosen weights. Where there is but one fold, its rows are
    halved in turns.
    """
    parts = folds if len(np.unique(folds)) > 1 else np.arange(len(folds)) % 2
    result = np.zeros(members[0].shape)
    for part in np.unique(parts):
        inside = parts == part
        combination = method([member[~inside] for member in members], labels[~inside])
        result[inside] = combination([member[inside] for member in members])
    return result
