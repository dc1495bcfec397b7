"""What the page shows beside its answer: alike training images, images to try, and from where on an answer is sure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

_WRONG = 0.01  # share of the sure answers that may be wrong out of fold
_PART = 0.5  # ... and at most this part of the share of all answers
_LEAST = 0.5  # an answer below it is never sure


@dataclass(frozen=True)
class Sure:
    """An answer is sure if its probability is at least `level`.

    Out of fold: share, of the images whose answer is sure; wrong, of the sure answers that are wrong; 0 to 1.
    """

    level: float
    share: float
    wrong: float


def sure_from(oof: NDArray[np.floating], labels: NDArray[np.int64]) -> Sure:
    """The lowest level, at least 0.5, above which few enough answers are wrong; oof: (n, classes), labels: (n,)."""
    top, wrong = oof.max(axis=1), oof.argmax(axis=1) != labels
    order = np.argsort(-top, kind="stable")
    rates = np.cumsum(wrong[order]) / np.arange(1, len(top) + 1)
    good = np.flatnonzero(rates <= min(_WRONG, _PART * wrong.mean()))
    lowest = float(top[order[good[-1] if len(good) else 0]])
    level = float(np.clip(np.ceil(lowest * 1000) / 1000, _LEAST, 0.999))  # as it is shown
    sure = top >= level
    return Sure(level, float(sure.mean()), float(wrong[sure].mean()) if sure.any() else 0.0)


def candidates(labels: NDArray[np.int64], rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` of the rows, drawn at random, as many of each class as there are; ascending."""
    mixed = np.random.default_rng(seed).permutation(rows)
    classes = np.unique(labels[rows])
    share = max(1, most // len(classes))
    return np.sort(np.concatenate([mixed[labels[mixed] == label][:share] for label in classes]))


def typical(
    features: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int64],
    most: int,
    seed: int,
) -> NDArray[np.int64]:
    """Indices of about `most` images, as many of each class: well predicted, and unlike each other.

    They are the surest half of the images of their class that are predicted rightly, and of these the nearest to the
    centres of k-means clusters of their features. features: (n, d), probabilities: (n, classes), labels: (n,).
    """
    chosen = [np.arange(0)]
    classes = np.unique(labels)
    share = max(1, most // len(classes))
    for label in classes:
        of_class = np.flatnonzero(labels == label)
        right = of_class[probabilities[of_class].argmax(axis=1) == label]
        surest = right[np.argsort(-probabilities[right, label], kind="stable")][: max(share, len(right) // 2)]
        if len(surest) > share:
            means = KMeans(share, n_init=1, max_iter=20, random_state=seed).fit(features[surest])
            surest = surest[np.unique(pairwise_distances_argmin(means.cluster_centers_, features[surest]))]
        chosen.append(surest)
    return np.concatenate(chosen)


def to_try(probabilities: NDArray[np.floating], most: int) -> NDArray[np.int64]:
    """Indices of images: of each predicted class the first that is surer than half of them, then the two least sure."""
    top, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    classes = [np.flatnonzero(predicted == label) for label in np.unique(predicted)]
    firsts = [int(rows[top[rows] >= np.median(top[rows])][0]) for rows in classes]
    return np.array([*dict.fromkeys([*firsts[: most - 2], *np.argsort(top, kind="stable")[:2].tolist()])], np.int64)
