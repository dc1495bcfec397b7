"""Batches: every image once per epoch, augmented by seed and step, in TensorFlow as in NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from digits.models import TaskSpec
from digits.models.augmentation import augment_images
from digits.models.cnn.batches import Batches
from digits.models.preprocessing import Normaliser
from toy_networks import IMAGES, LABELS, NO_AUGMENTATION, fit_toy
from toys import coloured_images

pytestmark = pytest.mark.slow


def batches(normalise: str = "/255", images: np.ndarray = IMAGES[:60], **changes: Any) -> Batches:
    source = Batches(
        images=images,
        labels=LABELS[:60],
        normaliser=Normaliser(normalise).fit(IMAGES),
        image_shape=(12, 12),
        channels=1,
        classes=3,
        augment=NO_AUGMENTATION,
        batch_size=20,
        seed=0,
    )
    return replace(source, **changes)


@pytest.mark.parametrize("kind", ["/255", "standard", "minmax"])
def test_training_and_prediction_normalise_alike(toy_spec: dict[str, Any], kind: str) -> None:
    """Batches without augmentation are what the fitted normaliser makes of the images."""
    source = batches(kind)
    for (images, labels), rows in zip(source.stream(2), source.rows(2), strict=True):
        assert images.shape == (20, 12, 12, 1)
        assert images.dtype == np.float32
        expected = source.normaliser.transform(IMAGES[rows])
        assert np.allclose(images.numpy().reshape(20, -1), expected, atol=1e-5 * np.abs(expected).max())
        assert np.array_equal(labels.argmax(axis=1), LABELS[rows])
        assert labels.sum() == 20
    scores = fit_toy(toy_spec, task=TaskSpec((12, 12), 3, kind), epochs=6, learning_rate=0.02).predict_proba(IMAGES)
    assert (scores.argmax(axis=1) == LABELS).mean() > 0.6


@pytest.mark.parametrize("kind", ["/255", "standard", "minmax"])
def test_colours_are_normalised_value_by_value(kind: str) -> None:
    """Without augmentation, each channel of each pixel is what the fitted normaliser makes of it."""
    images, labels = coloured_images(60, np.random.default_rng(0))
    normaliser = Normaliser(kind).fit(images)
    source = batches(images=images, labels=labels, channels=3, normaliser=normaliser)
    for (found, _), rows in zip(source.stream(1), source.rows(1), strict=True):
        expected = normaliser.transform(images[rows]).reshape(20, 12, 12, 3)
        assert np.allclose(found.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_an_epoch_takes_every_image_once_shuffled_anew() -> None:
    first, second = batches().rows(2).reshape(2, 60)
    assert sorted(first) == sorted(second) == list(range(60))
    assert not np.array_equal(first, second)
    assert batches(batch_size=25).rows(3).shape == (6, 25)  # two full batches an epoch


@pytest.mark.parametrize(
    "augment", [{"rotation": 10.0}, {"zoom": 0.1}, {"shear": 9.0}, {"shift": 1.0}, {"elastic": 0.8}]
)
def test_every_image_of_a_batch_is_augmented_differently(augment: dict[str, float]) -> None:
    source = batches(images=np.repeat(IMAGES[:1], 60, axis=0), augment=NO_AUGMENTATION | augment, batch_size=60)
    augmented = np.concatenate([images.numpy().reshape(60, -1) for images, _ in source.stream(2)])
    assert len(np.unique(augmented, axis=0)) == 120
    assert augmented.min() >= 0
    assert augmented.max() <= 1


def test_a_batch_depends_on_seed_and_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the chunk it is made in; the last of 15 steps is in a chunk that it does not fill."""
    source = batches(augment=NO_AUGMENTATION | {"rotation": 10.0, "elastic": 0.5})
    once, again = ([images for images, _ in source.stream(5)] for _ in range(2))
    monkeypatch.setattr("digits.models.cnn.batches._CHUNK", 80)
    others = [images for images, _ in source.stream(5)]
    assert len(once) == len(again) == len(others) == 15
    assert all(np.array_equal(first, second) for first, second in zip(once, again, strict=True))
    assert all(np.allclose(first, second, atol=1e-5) for first, second in zip(once, others, strict=True))
    assert not np.allclose(once[0], replace(source, seed=1)._augment(source.rows(1)[0], [0]), atol=0.1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("elastic", [0.0, 3.0])
def test_tensorflow_augments_as_numpy_does(elastic: float, channels: int) -> None:
    """Odd sizes, mirrored and partly outside the frame, other rows than the first; to 0.02 of 255."""
    images = np.random.default_rng(0).integers(0, 256, (40, 11 * 17 * channels), dtype=np.uint8)
    augment: dict[str, Any] = {"rotation": 40.0, "zoom": 0.4, "shear": 20.0, "shift": 9.0, "flip": True}
    augment["elastic"] = elastic
    normaliser = Normaliser("none").fit(images)
    source = batches(images=images, image_shape=(11, 17), channels=channels, augment=augment, normaliser=normaliser)
    rows = np.arange(39, 9, -1)
    found = source._augment(rows, [4])
    expected = augment_images(np.random.default_rng((0, 4)), images[rows].reshape(-1, 11, 17, channels), **augment)
    assert np.abs(found.numpy() - expected).max() < 0.02
    assert (expected == 0).mean() > 0.1


@pytest.mark.parametrize(("shape", "channels"), [((11, 17), 3), ((12, 10), 1)])
def test_a_flip_alone_is_the_image_or_its_mirror_image(shape: tuple[int, int], channels: int) -> None:
    """To the same bits, about half of each, whether the width is odd or even."""
    images = np.random.default_rng(0).integers(1, 256, (60, *shape, channels)).astype(np.uint8)
    flat = images.reshape(60, -1)
    source = batches(
        images=flat,
        image_shape=shape,
        channels=channels,
        augment=NO_AUGMENTATION | {"flip": True},
        normaliser=Normaliser("none").fit(flat),
    )
    found = np.concatenate([step.numpy() for step, _ in source.stream(5)])
    originals = images[source.rows(5).ravel()]
    mirrored = (found == originals[:, :, ::-1]).reshape(300, -1).all(axis=1)
    assert np.array_equal(found[~mirrored], originals[~mirrored])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.08)
