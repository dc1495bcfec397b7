"""The stream of augmented, normalised batches that a network is trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.models.augmentation import affine_maps, elastic_basis, elastic_coefficients
from digits.models.cnn.augmentation import compiled_augmentation, pad_images
from digits.models.cnn.libraries import tf
from digits.models.preprocessing import Normaliser

_CHUNK = 1024  # images augmented per call; with 128 each image takes twice as long
_SAMPLE_STEP = 2**40  # seeds `sample` in place of a step's number; no fit has so many steps


@dataclass(frozen=True)
class Batches:
    """Batches of a fit; their order and augmentation depend on the seed and the step's number alone.

    images: uint8 (n, height * width * channels). labels: (n,), 0 to classes - 1. augment: strengths and flip, as
    in models.augmentation.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normaliser: Normaliser
    image_shape: tuple[int, int]
    channels: int
    classes: int
    augment: dict[str, Any]
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch; a partial one would be traced and compiled again."""
        return len(self.images) // self.batch_size

    @property
    def chunk(self) -> int:
        """Batches that are augmented together."""
        return max(1, _CHUNK // self.batch_size)

    def rows(self, epochs: int) -> NDArray[np.int64]:
        """Rows of the images of each step, (steps, batch); every epoch is shuffled again."""
        generator = np.random.default_rng(self.seed)
        used = self.steps_per_epoch * self.batch_size
        order = [generator.permutation(len(self.images))[:used] for _ in range(epochs)]
        return np.concatenate(order).reshape(-1, self.batch_size)

    def stream(self, epochs: int) -> Iterator[tuple[Any, NDArray[np.float32]]]:
        """All batches of `epochs` epochs in order: (batch, height, width, channels) and (batch, classes) float32.

        A chunk of them is augmented on all cores while training waits. In parallel with a training step on the same
        cores it would cost twice the time, because each operation of a step ends when its slowest thread does.
        """
        rows = self.rows(epochs)
        one_hot = np.eye(self.classes, dtype=np.float32)[self.labels]
        for first in range(0, len(rows), self.chunk):
            steps = range(first, min(first + self.chunk, len(rows)))
            # the last chunk is filled up with its last step, because another size would be compiled again
            filled = [*steps, *[steps[-1]] * (self.chunk - len(steps))]
            batches = tf.split(self._augment(rows[filled].ravel(), filled), self.chunk)
            yield from ((batch, one_hot[rows[step]]) for batch, step in zip(batches, steps, strict=False))

    def sample(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Up to `count` random training images, with augmentation that no training step has, and their labels."""
        generator = np.random.default_rng((self.seed, _SAMPLE_STEP))
        rows = generator.permutation(len(self.images))[:count]
        return self._augment(rows, [_SAMPLE_STEP]).numpy(), np.asarray(self.labels)[rows]

    @cached_property
    def _padded(self) -> tf.Tensor:
        return pad_images(np.asarray(self.images).reshape(-1, *self.image_shape, self.channels))

    def _augment(self, rows: NDArray[np.int64], steps: list[int]) -> Any:
        """The images of `rows`, augmented and normalised; each step seeds the same number of them."""
        affine = {name: strength for name, strength in self.augment.items() if name != "elastic"}
        elastic, size = self.augment["elastic"], len(rows) // len(steps)
        generators = [np.random.default_rng((self.seed, step)) for step in steps]
        maps = [affine_maps(generator, size, self.image_shape, **affine) for generator in generators]
        field = None
        if elastic:
            coefficients = [elastic_coefficients(rng, size, self.image_shape, elastic) for rng in generators]
            field = np.concatenate(coefficients), elastic_basis(self.image_shape)
        normaliser = self.normaliser
        return compiled_augmentation()(
            self._padded,
            rows.astype(np.int32),
            np.concatenate(maps),
            field,
            np.reshape(normaliser.offset_, (-1,)),
            np.reshape(normaliser.scale_, (-1,)),
        )
