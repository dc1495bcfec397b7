"""Move the pixels of many images at once, each image by a map of its own."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 16  # images worked on at a time, so that the temporary arrays stay in the processor's cache


def warp(
    images: NDArray[np.number],
    maps: NDArray[np.float32],
    displacements: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Images seen through affine maps, with linear interpolation; zero outside the frame.

    images: (n, height, width). maps: (n, 8), from output to input pixels: (a, b, c, d, e, f, 0, 0) takes the output
    pixel (x, y) from the input at (ax + by + c, dx + ey + f), the layout of TensorFlow's ImageProjectiveTransformV3.
    displacements: (n, 2, height, width), pixels to add to that x and y. Returns (n, height, width) float32.
    """
    count, height, width = images.shape
    padded = np.zeros((count, height + 3, width + 3), np.float32)
    padded[:, 1:-2, 1:-2] = images
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    grid = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
    warped = np.empty((count, height * width), np.float32)
    for first in range(0, count, _BLOCK):
        block = slice(first, first + _BLOCK)
        x_from, y_from = maps[block, 0:3] @ grid, maps[block, 3:6] @ grid
        if displacements is not None:
            x_from += displacements[block, 0].reshape(len(x_from), -1)
            y_from += displacements[block, 1].reshape(len(y_from), -1)
        warped[block] = _interpolate(padded[block], x_from, y_from)
    return warped.reshape(images.shape)


def _interpolate(padded: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values at (x, y), (n, points) each, of images that have one row and column of zeros before and two after.

    Overwrites x and y: every further temporary array costs a tenth of the time.
    """
    count, rows, columns = padded.shape
    x += 1
    y += 1
    # the border is zero, so a point far outside is as good on it
    np.clip(x, 0, columns - 2, out=x)
    np.clip(y, 0, rows - 2, out=y)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x -= column
    y -= row
    row *= columns
    row += column
    row += np.arange(count, dtype=np.int32)[:, None] * (rows * columns)
    place = row.astype(np.intp)  # once; `take` would do it each time
    values = padded.ravel()
    # all places exist, and `clip` looks them up in half the time of the mode that would refuse others
    upper, upper_right, lower, lower_right = (
        values[first:].take(place, mode="clip") for first in (0, 1, columns, columns + 1)
    )
    _move_towards(upper_right, upper, x)
    _move_towards(lower_right, lower, x)
    _move_towards(lower, upper, y)
    return upper


def _move_towards(end: NDArray[np.float32], start: NDArray[np.float32], share: NDArray[np.float32]) -> None:
    """start += (end - start) * share; overwrites `end`."""
    end -= start
    end *= share
    start += end
