"""The labelled images that models see most alike: those for which they predict the most similar probabilities."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

Predictions = tuple[NDArray[np.int64], NDArray[np.floating]]  # rows, ascending, and their probabilities out of fold
_VALUES = 50_000_000  # that are compared; of more images, every second, third ... is
_LEAST = 1e-4  # floor of a probability before its logarithm: differences below are noise


def nearest(models: Sequence[Predictions], rows: NDArray[np.int64], count: int) -> list[list[int]]:
    """Rows of the images that are nearest to each of `rows`, at most `count`, the nearest first, without itself.

    An image is compared with all that are predicted out of fold by the same models, or by more. The distance is
    Euclidean, of the log probabilities of all classes by these models. [] if no model predicts it.
    """
    found: list[list[int]] = [[] for _ in rows]
    predicted = np.array([np.isin(rows, known) for known, _ in models])
    for same in np.unique(predicted, axis=1).T:
        group = [model for model, has in zip(models, same, strict=True) if has]
        if not group:
            continue
        shared = reduce(np.intersect1d, (known for known, _ in group))
        shared = shared[:: -(-len(shared) * sum(oof.shape[1] for _, oof in group) // _VALUES)]
        features = _features(group, shared)
        search = NearestNeighbors(n_neighbors=min(count + 1, len(shared)), algorithm="brute").fit(features)
        places = np.flatnonzero((same == predicted.T).all(axis=1))
        near = shared[search.kneighbors(_features(group, rows[places]), return_distance=False)]
        for place, others in zip(places, near.tolist(), strict=True):
            found[place] = [row for row in others if row != rows[place]][:count]
    return found


def _features(models: Sequence[Predictions], rows: NDArray[np.int64]) -> NDArray[np.floating]:
    """Log probabilities of all classes by all models, (rows, models * classes)."""
    probabilities = np.concatenate([oof[np.searchsorted(known, rows)] for known, oof in models], axis=1)
    logits: NDArray[np.floating] = np.log(probabilities.clip(_LEAST))
    return logits
