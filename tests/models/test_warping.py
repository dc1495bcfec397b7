"""Warping: the identity, SciPy's and TensorFlow's results for the same map, zeros from outside the frame."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from digits.models.augmentation import affine_maps, elastic_fields
from digits.models.warping import warp

SHAPE = (17, 23)
IDENTITY = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (150, *SHAPE)).astype(np.uint8)


@pytest.fixture
def maps() -> np.ndarray:
    return affine_maps(np.random.default_rng(1), 150, SHAPE, rotation=40, zoom=0.4, shear=20, shift=6, flip=True)


def test_the_identity_changes_nothing(images: np.ndarray) -> None:
    identity = np.repeat(IDENTITY, len(images), axis=0)
    assert np.abs(warp(images, identity) - images).max() <= 1e-5
    assert np.abs(warp(images, identity, np.zeros((150, 2, *SHAPE), np.float32)) - images).max() <= 1e-5
    assert warp(images, identity).dtype == np.float32


def test_scipy_warps_alike(images: np.ndarray, maps: np.ndarray) -> None:
    """Every image by its own map and its own field."""
    fields = elastic_fields(np.random.default_rng(2), 150, SHAPE, 3.0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for warped, image, (a, b, c, d, e, f, *_), (dx, dy) in zip(
        warp(images, maps, fields), images, maps.astype(float), fields, strict=True
    ):
        expected = map_coordinates(
            image.astype(float), [d * x + e * y + f + dy, a * x + b * y + c + dx], order=1, mode="grid-constant"
        )
        assert np.abs(warped - expected).max() < 0.02  # of 255; float32 has seven digits


def test_tensorflow_warps_alike(images: np.ndarray, maps: np.ndarray) -> None:
    from digits.models.cnn.libraries import tf

    theirs = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., None].astype(np.float32),
        transforms=maps,
        output_shape=SHAPE,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    assert np.abs(warp(images, maps) - theirs.numpy()[..., 0]).max() < 0.02


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_channel_is_warped_as_an_image_of_its_own(maps: np.ndarray, channels: int) -> None:
    """To the same bits."""
    images = np.random.default_rng(3).integers(0, 256, (150, *SHAPE, channels)).astype(np.uint8)
    fields = elastic_fields(np.random.default_rng(2), 150, SHAPE, 3.0)
    for displacements in (None, fields):
        together = warp(images, maps, displacements)
        alone = [warp(images[..., channel], maps, displacements) for channel in range(channels)]
        assert np.array_equal(together, np.stack(alone, axis=3))


def test_far_outside_is_empty(images: np.ndarray) -> None:
    for x, y in ((1000, 0), (-1000, 0), (0, 1000), (0, -1000), (23, 0), (0, 17), (-23, 0)):
        away = IDENTITY + np.array([0, 0, x, 0, 0, y, 0, 0], np.float32)
        assert (warp(images[:1], away) == 0).all()


def test_the_result_of_an_image_is_its_own(images: np.ndarray, maps: np.ndarray) -> None:
    together = warp(images, maps)
    alone = [warp(images[place : place + 1], maps[place : place + 1])[0] for place in range(150)]
    assert np.allclose(together, alone, atol=1e-3)
