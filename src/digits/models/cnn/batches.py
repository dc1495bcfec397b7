"""The stream of distorted, normalised batches that a network learns from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.augment import distort
from digits.models.cnn.libraries import tf
from digits.preprocess import Normaliser

_PARALLEL = 2  # batches made at the same time; one core makes ten times what a network of two cores learns from
_AHEAD = 4  # batches kept ready
_SAMPLE = 2**40  # in place of a step's number; no fit has so many


@dataclass(frozen=True)
class Batches:
    """Batches of a fit, whose order and distortions follow from the seed and the number of the step alone.

    images: uint8 (n, pixels). labels: (n,), 0 to classes - 1. augment: strengths as in digits.augment.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normaliser: Normaliser
    image_shape: tuple[int, int]
    classes: int
    augment: dict[str, float]
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; a partial one would be traced and compiled anew."""
        return len(self.images) // self.batch_size

    def rows(self, epochs: int) -> NDArray[np.int64]:
        """Which images each step takes, (steps, batch); every epoch in an order of its own."""
        generator = np.random.default_rng(self.seed)
        used = self.steps_per_epoch * self.batch_size
        order = [generator.permutation(len(self.images))[:used] for _ in range(epochs)]
        return np.concatenate(order).reshape(-1, self.batch_size)

    def batch(self, step: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images of one step, (batch, height, width, 1), distorted and normalised."""
        generator = np.random.default_rng((self.seed, int(step)))
        distorted = distort(generator, self.images[rows].reshape(-1, *self.image_shape), **self.augment)
        return self.normaliser.transform(distorted.reshape(len(rows), -1)).reshape(-1, *self.image_shape, 1)

    def sample(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Up to `count` images, distorted and normalised as for training but as in no step of it, and their labels."""
        generator = np.random.default_rng((self.seed, _SAMPLE))
        rows = generator.permutation(len(self.images))[:count]
        return self.batch(_SAMPLE, rows), np.asarray(self.labels)[rows]

    def stream(self, epochs: int) -> tf.data.Dataset:
        """All batches of `epochs` epochs in order: (batch, height, width, 1) float32, (batch, classes) float32."""
        labels = tf.constant(np.asarray(self.labels))

        def batch(step: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.numpy_function(self.batch, (step, rows), tf.float32, stateful=False)
            images = tf.ensure_shape(images, (self.batch_size, *self.image_shape, 1))
            return images, tf.one_hot(tf.gather(labels, rows), self.classes)

        options = tf.data.Options()
        # its thread sleeps for 10 ms, 20 ms, 40 ms ... and the end of a fit waits until it wakes: up to 41 s in vain
        options.autotune.enabled = False
        steps = tf.data.Dataset.from_tensor_slices(self.rows(epochs)).enumerate()
        made = steps.map(batch, num_parallel_calls=_PARALLEL, deterministic=True)
        return made.prefetch(_AHEAD).with_options(options)
