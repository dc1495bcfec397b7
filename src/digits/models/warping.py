"""Warp images by affine maps and displacement fields, with bilinear interpolation."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 16  # images per block: the temporary arrays stay in the processor's cache


def warp(
    images: NDArray[np.number], maps: NDArray[np.float32], displacements: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Images after an affine map each, with bilinear interpolation; 0 outside the frame.

    images: (n, height, width) or (n, height, width, channels); all channels of an image have the same map. maps:
    (n, 8), from output to input pixels: (a, b, c, d, e, f, 0, 0) takes the output pixel (x, y) from the input at
    (ax + by + c, dx + ey + f), the layout of TensorFlow's ImageProjectiveTransformV3. displacements: (n, 2, height,
    width), pixels to add to that x and y. Returns float32, shaped as images.
    """
    count, height, width, channels = (*images.shape, 1)[:4]
    # channels first, because NumPy is slow along a short last axis
    padded = np.zeros((channels, count, height + 3, width + 3), np.float32)
    padded[:, :, 1:-2, 1:-2] = np.moveaxis(images.reshape(count, height, width, channels), 3, 0)
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    grid = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
    warped = np.empty((channels, count, height * width), np.float32)
    for first in range(0, count, _BLOCK):
        block = slice(first, first + _BLOCK)
        x_from, y_from = maps[block, 0:3] @ grid, maps[block, 3:6] @ grid
        if displacements is not None:
            x_from += displacements[block, 0].reshape(len(x_from), -1)
            y_from += displacements[block, 1].reshape(len(y_from), -1)
        warped[:, block] = _interpolate(padded[:, block], x_from, y_from)
    return np.moveaxis(warped, 0, 2).reshape(images.shape)


def _interpolate(padded: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values at (x, y), (n, points) each, of images padded by one row and column of zeros before and two after.

    padded: (channels, n, rows, columns). Returns (channels, n, points). Overwrites x and y: every further temporary
    array costs a tenth of the time.
    """
    channels, count, rows, columns = padded.shape
    x += 1
    y += 1
    # a point far outside has the value of the border: 0
    np.clip(x, 0, columns - 2, out=x)
    np.clip(y, 0, rows - 2, out=y)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x -= column
    y -= row
    row *= columns
    row += column
    row += np.arange(count, dtype=np.int32)[:, None] * (rows * columns)
    index = row.astype(np.intp)  # once; `take` would convert it each time
    values = padded.reshape(channels, -1)
    # all indices exist, and mode `clip` takes half the time of the mode that checks them
    upper, upper_right, lower, lower_right = (
        values[:, first:].take(index, axis=1, mode="clip") for first in (0, 1, columns, columns + 1)
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
