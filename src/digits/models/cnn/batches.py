"""The stream of distorted, normalised batches that a network learns from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.models.augmentation import affine_maps, elastic_noise, smooth_waves, whole_shifts
from digits.models.cnn.augmentation import distorted, frame
from digits.models.cnn.libraries import tf
from digits.models.preprocessing import Normaliser

_AT_ONCE = 1024  # images made before the next steps are taken; with 128 at once each takes twice as long
_SAMPLE = 2**40  # in place of a step's number; no fit has so many


@dataclass(frozen=True)
class Batches:
    """Batches of a fit, whose order and distortions follow from the seed and the number of the step alone.

    images: uint8 (n, pixels). labels: (n,), 0 to classes - 1. augment: strengths as in models.augmentation. shift_only:
    share of each batch that is shifted by whole pixels alone.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normaliser: Normaliser
    image_shape: tuple[int, int]
    classes: int
    augment: dict[str, float]
    shift_only: float
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

    def stream(self, epochs: int) -> Iterator[tuple[Any, NDArray[np.float32]]]:
        """All batches of `epochs` epochs in order: (batch, height, width, 1) float32, (batch, classes) float32.

        Some are made at once, by all cores, while whoever takes them waits. Made beside a training step on the same
        cores they would cost it twice their time: each of its operations ends when its slowest thread does.
        """
        rows = self.rows(epochs)
        one_hot = np.eye(self.classes, dtype=np.float32)[self.labels]
        at_once = max(1, _AT_ONCE // self.batch_size)
        for first in range(0, len(rows), at_once):
            wanted = range(first, min(first + at_once, len(rows)))
            # the last group is filled up with its last step: one of another size would be compiled anew
            steps = [*wanted, *[wanted[-1]] * (at_once - len(wanted))]
            made = tf.split(self._make(rows[steps].ravel(), steps), at_once)
            yield from ((batch, one_hot[rows[step]]) for batch, step in zip(made, wanted, strict=False))

    def sample(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Up to `count` images, distorted and normalised as for training but as in no step of it, and their labels."""
        generator = np.random.default_rng((self.seed, _SAMPLE))
        rows = generator.permutation(len(self.images))[:count]
        return self._make(rows, [_SAMPLE]).numpy(), np.asarray(self.labels)[rows]

    @cached_property
    def _framed(self) -> tf.Tensor:
        return frame(np.asarray(self.images).reshape(-1, *self.image_shape))

    def _make(self, rows: NDArray[np.int64], steps: list[int]) -> Any:
        """The images of `rows`, distorted and normalised; as many of them belong to each step."""
        affine = {name: strength for name, strength in self.augment.items() if name != "elastic"}
        elastic, size = self.augment["elastic"], len(rows) // len(steps)
        generators = [np.random.default_rng((self.seed, step)) for step in steps]
        maps = [affine_maps(generator, size, self.image_shape, **affine) for generator in generators]
        shift_only = round(self.shift_only * size)  # the first; which images these are is as random as their order
        for generator, drawn in zip(generators, maps, strict=True):
            drawn[:shift_only] = whole_shifts(generator, shift_only, self.augment["shift"])
        field = None
        if elastic:
            noise = [elastic_noise(generator, size, self.image_shape, elastic) for generator in generators]
            for drawn in noise:
                drawn[: 2 * shift_only] = 0
            field = np.concatenate(noise), smooth_waves(self.image_shape)
        normaliser = self.normaliser
        return distorted(
            self._framed,
            rows.astype(np.int32),
            np.concatenate(maps),
            field,
            np.reshape(normaliser.offset_, (-1,)),
            np.reshape(normaliser.scale_, (-1,)),
        )
