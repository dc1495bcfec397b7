"""Members' probabilities -> one blend, chosen on out-of-fold predictions alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-7  # floor of a probability, so that one confident mistake does not make the log loss infinite


def blend(members: Sequence[NDArray[np.floating]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of the members' probabilities, each (n, classes).

    Raises ValueError where shapes or counts do not match.
    """
    shapes = {member.shape for member in members}
    if len(shapes) != 1 or len(members) != len(weights):
        raise ValueError(f"cannot blend {len(members)} members of shapes {sorted(shapes)} with {len(weights)} weights")
    total = np.zeros(shapes.pop())
    for member, weight in zip(members, weights, strict=True):
        total += weight * member
    return total


def climb(members: Sequence[NDArray[np.floating]], labels: NDArray[np.int64], rounds: int) -> NDArray[np.float64]:
    """Weights of the members, (members,), non-negative with sum 1, by greedy selection with replacement.

    Start from the member with the lowest log loss; in each of `rounds` draw once more the one that lowers the log loss
    of the mean most, and keep the best mean met on the way, so the blend is never worse than the best member on
    `labels` (R. Caruana et al., 2004, Ensemble selection from libraries of models, ICML, section 2). Ties go to the
    member that comes first.
    """
    rows = np.arange(len(labels))
    true_class = np.stack([member[rows, labels] for member in members]).astype(np.float64)  # (members, n)
    counts = np.zeros(len(members))
    total = np.zeros(len(labels))
    best_loss, best_counts = np.inf, counts
    for drawn in range(1, rounds + 1):
        losses = -np.log(np.maximum((total + true_class) / drawn, _SMALLEST)).mean(axis=1)
        chosen = int(losses.argmin())
        counts[chosen] += 1
        total += true_class[chosen]
        if losses[chosen] < best_loss:
            best_loss, best_counts = losses[chosen], counts.copy()
    weights: NDArray[np.float64] = best_counts / best_counts.sum()
    return weights


def cross_fitted(
    members: Sequence[NDArray[np.floating]], labels: NDArray[np.int64], folds: NDArray[np.int8], rounds: int
) -> NDArray[np.float64]:
    """Blended probabilities, (n, classes), in which every row is weighted by weights from the other folds only.

    So the score of the result is not flattered by having chosen the weights.
    """
    result = np.zeros(members[0].shape)
    for fold in np.unique(folds):
        inside = folds == fold
        weights = climb([member[~inside] for member in members], labels[~inside], rounds)
        result[inside] = blend([member[inside] for member in members], weights)
    return result
