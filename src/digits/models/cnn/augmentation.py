"""Data augmentation and normalisation in TensorFlow: the same as digits.models.augmentation with NumPy, but faster."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.models.cnn.libraries import tf


def pad_images(images: NDArray[np.uint8]) -> tf.Tensor:
    """Images padded by one row and column of zeros before and two after, for `_augment_rows`.

    images: (n, height, width, channels). Done once per fit: the compiled loop takes three times as long with the
    padding in it.
    """
    return tf.constant(np.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0))))


@cache
def compiled_augmentation() -> Any:
    """`_augment_rows`, compiled once for each number of images."""
    # One compiled loop over the pixels is faster on a CPU. A GPU does not need it, and compiling for a GPU takes parts
    # of CUDA that pip does not install. GPUs are not listed before this point, because a process that has listed them
    # cannot be forked into one that uses them.
    return tf.function(_augment_rows, autograph=False, jit_compile=not tf.config.list_physical_devices("GPU"))


def _augment_rows(
    padded: tf.Tensor,
    rows: tf.Tensor,
    maps: tf.Tensor,
    field: tuple[tf.Tensor, tf.Tensor] | None,
    offset: tf.Tensor,
    scale: tf.Tensor,
) -> Any:
    """The images of `rows`, each warped by its map and field as in digits.models.warping, then normalised.

    padded: uint8, of `pad_images`. rows: (k,). maps: (k, 8), of augmentation.affine_maps. field: coefficients,
    (2 k, basis vectors), and basis, (basis vectors, height * width), of augmentation.elastic_fields; None: no elastic
    field. offset, scale: of preprocessing.Normaliser, (1,) or (height * width * channels,). Returns (k, height, width,
    channels) float32.
    """
    height, width, channels = padded.shape[1] - 3, padded.shape[2] - 3, padded.shape[3]
    column = tf.tile(tf.range(width, dtype=tf.float32), [height])
    row = tf.repeat(tf.range(height, dtype=tf.float32), width)
    a, b, c, d, e, f = (maps[:, number, None] for number in range(6))
    x, y = a * column + b * row + c, d * column + e * row + f
    if field is not None:
        displacements = tf.reshape(tf.matmul(*field), (-1, 2, height * width))
        x, y = x + displacements[:, 0], y + displacements[:, 1]
    # a point far outside has the value of the padding: 0
    x, y = tf.clip_by_value(x + 1, 0, width + 1), tf.clip_by_value(y + 1, 0, height + 1)
    warped = tf.reshape(_interpolate(tf.gather(padded, rows), x, y), (-1, height * width * channels))
    return tf.reshape((warped - offset) * scale, (-1, height, width, channels))


def _interpolate(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Bilinear interpolation at (x, y), (k, points) each, which must lie within the images; (k, points, channels)."""
    _, rows, columns, channels = images.shape
    pixels = tf.reshape(images, (-1, rows * columns, channels))
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)
    x, y = (x - tf.cast(left, tf.float32))[..., None], (y - tf.cast(top, tf.float32))[..., None]

    def value(below: int, right: int) -> tf.Tensor:
        index = (top + below) * columns + left + right
        return tf.cast(tf.gather(pixels, index, batch_dims=1), tf.float32)

    upper = value(0, 0) + (value(0, 1) - value(0, 0)) * x
    lower = value(1, 0) + (value(1, 1) - value(1, 0)) * x
    return upper + (lower - upper) * y
