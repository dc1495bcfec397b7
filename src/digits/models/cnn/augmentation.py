"""Distorting and normalising images in TensorFlow: what models.augmentation does with NumPy, but faster."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.models.cnn.libraries import tf


def frame(images: NDArray[np.uint8]) -> tf.Tensor:
    """Images, (n, height, width), with one row and column of zeros before and two after: what `distorted` takes.

    Done once per fit; a loop compiled with the frame in it takes three times as long.
    """
    return tf.constant(np.pad(images, ((0, 0), (1, 2), (1, 2))))


def distorted(*given: Any) -> Any:
    """What `distort` returns, compiled once for each number of images that occurs."""
    return _compiled()(*given)


@cache
def _compiled() -> Any:
    # A processor gains by one compiled loop over the pixels. A GPU has no need of it, and compiling for one takes parts
    # of CUDA that pip does not install. Not asked before it is needed: a process that has looked for GPUs cannot be
    # forked into one that uses them.
    return tf.function(distort, autograph=False, jit_compile=not tf.config.list_physical_devices("GPU"))


def distort(
    framed: tf.Tensor,
    rows: tf.Tensor,
    maps: tf.Tensor,
    field: tuple[tf.Tensor, tf.Tensor] | None,
    offset: tf.Tensor,
    scale: tf.Tensor,
) -> Any:
    """The images of `rows`, each seen through its own map and field, as digits.models.warping does it, then normalised.

    framed: uint8, as of `frame`. rows: (k,). maps: (k, 8), see augmentation.affine_maps. field: noise, (2 k, waves),
    and the waves, (waves, height * width), whose product is pixels to add to x and to y, in turns; None: none. offset,
    scale: of digits.models.preprocessing.Normaliser. Returns (k, height, width, 1) float32.
    """
    height, width = framed.shape[1] - 3, framed.shape[2] - 3
    column = tf.tile(tf.range(width, dtype=tf.float32), [height])
    row = tf.repeat(tf.range(height, dtype=tf.float32), width)
    a, b, c, d, e, f = (maps[:, place, None] for place in range(6))
    x, y = a * column + b * row + c, d * column + e * row + f
    if field is not None:
        added = tf.reshape(tf.matmul(*field), (-1, 2, height * width))
        x, y = x + added[:, 0], y + added[:, 1]
    # the frame is zero, so a point far outside is as good on it
    x, y = tf.clip_by_value(x + 1, 0, width + 1), tf.clip_by_value(y + 1, 0, height + 1)
    warped = _interpolate(tf.gather(framed, rows), x, y)
    return tf.reshape((warped - offset) * scale, (-1, height, width, 1))


def _interpolate(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Linear between the four pixels around (x, y), (k, points) each, which lie within the images."""
    columns = images.shape[2]
    pixels = tf.reshape(images, (-1, images.shape[1] * columns))
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)
    x, y = x - tf.cast(left, tf.float32), y - tf.cast(top, tf.float32)

    def value(below: int, right: int) -> tf.Tensor:
        place = (top + below) * columns + left + right
        return tf.cast(tf.gather(pixels, place, batch_dims=1), tf.float32)

    upper = value(0, 0) + (value(0, 1) - value(0, 0)) * x
    lower = value(1, 0) + (value(1, 1) - value(1, 0)) * x
    return upper + (lower - upper) * y
