"""The labelled images that are most like an image, pixel by pixel."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from digits.data.dataset import Dataset

_VALUES = 50_000_000  # of the images that are compared; of more images, every second, third ... is


def nearest(data: Dataset, rows: NDArray[np.int64], count: int, step: int = 1) -> NDArray[np.int64]:
    """Rows of the images that are nearest to those of `rows`, (rows, count or fewer), the nearest first.

    They are those of the folds, without the image itself. The distance is Euclidean, of the pixels as they are. step:
    of the pixels that are compared, in both directions.
    """
    working = data.working_rows
    values = data.shaped(data.images[:1])[:, ::step, ::step].size
    known = working[:: -(-len(working) * values // _VALUES)]
    count = min(count, len(known) - 1)

    def pixels(of: NDArray[np.int64]) -> NDArray[np.float32]:
        return data.shaped(data.images[of])[:, ::step, ::step].reshape(len(of), -1).astype(np.float32)

    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(pixels(known))
    found = known[search.kneighbors(pixels(rows), return_distance=False)]
    itself = found == rows[:, np.newaxis]
    itself[~itself.any(axis=1), -1] = True  # it is not among them: the last one is left out
    others: NDArray[np.int64] = found[~itself].reshape(len(rows), count)
    return others
