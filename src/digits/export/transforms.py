"""Fixed image transforms as constants of a graph: each pixel of the result is a weighted sum of at most four pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from digits.models.augmentation import transform_images

_CORNERS = 4  # pixels that bilinear interpolation reads
_BLOCK = 1024  # pixels whose images are transformed together


def taps(
    transforms: Sequence[dict[str, Any]], image_shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What each pixel of transformed copies is made of: indices and weights, (transforms * height * width, 4) each.

    transforms: arguments of `transform_images`; {} is the image itself. Indices are those of flattened images. Corners
    outside the frame have weight 0. `transform_images` is linear, so that its result for images of one bright pixel
    each tells all of it.
    """
    pixels = image_shape[0] * image_shape[1]
    indices = np.zeros((len(transforms), pixels, _CORNERS), np.int32)
    weights = np.zeros(indices.shape, np.float32)
    for number, transform in enumerate(transforms):
        blocks = []
        for first in range(0, pixels, _BLOCK):
            single = np.eye(min(_BLOCK, pixels - first), pixels, first, np.float32).reshape(-1, *image_shape)
            blocks.append(csr_array(transform_images(single, **transform).reshape(len(single), -1)))
        matrix = vstack(blocks).T.tocsr()  # a row per pixel of the result
        counts = np.diff(matrix.indptr)
        rows = np.repeat(np.arange(pixels), counts)
        corners = np.arange(matrix.nnz) - matrix.indptr[rows]
        indices[number, rows, corners], weights[number, rows, corners] = matrix.indices, matrix.data
    return indices.reshape(-1, _CORNERS), weights.reshape(-1, _CORNERS)
