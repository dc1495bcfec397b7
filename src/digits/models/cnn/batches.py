"""The stream of distorted, normalised batches that a network learns from."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.augment import distort
from digits.preprocess import Normaliser

_PER_THREAD = 4  # batches that a thread makes before the next steps are taken
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

    def stream(self, epochs: int, threads: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """All batches of `epochs` epochs in order: (batch, height, width, 1) float32, (batch, classes) float32.

        Some are made at once, by all `threads`, while whoever takes them waits. Made beside a training step on the same
        cores they would cost it twice their time: each of its operations ends when its slowest thread does.
        """
        classes = np.eye(self.classes, dtype=np.float32)
        labels = np.asarray(self.labels)
        rows = self.rows(epochs)
        at_once = _PER_THREAD * threads
        with ThreadPoolExecutor(threads) as pool:
            for first in range(0, len(rows), at_once):
                steps = range(first, min(first + at_once, len(rows)))
                made = list(pool.map(lambda step: self.batch(step, rows[step]), steps))
                yield from zip(made, (classes[labels[rows[step]]] for step in steps), strict=True)
