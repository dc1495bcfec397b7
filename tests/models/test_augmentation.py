"""Augmentation: the identity at strength 0, within its ranges, drawn from the seed alone."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from digits.models.augmentation import (
    affine_maps,
    augment_images,
    elastic_fields,
    transform_images,
)
from digits.models.warping import warp

NO_AUGMENTATION: dict[str, Any] = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "flip": False}


def draw_maps(**strengths: Any) -> np.ndarray:
    return affine_maps(np.random.default_rng(3), 2000, (28, 20), **(NO_AUGMENTATION | strengths))


def test_no_strength_is_the_identity() -> None:
    assert np.allclose(draw_maps(), [1, 0, 0, 0, 1, 0, 0, 0], atol=1e-5)


def test_maps_are_distinct_and_follow_from_the_seed() -> None:
    strengths = {"rotation": 10.0, "zoom": 0.1, "shear": 5.0, "shift": 2.0}
    assert np.array_equal(draw_maps(**strengths), draw_maps(**strengths))
    assert len(np.unique(draw_maps(**strengths), axis=0)) == 2000


def test_the_centre_moves_by_the_shift_alone() -> None:
    maps = draw_maps(rotation=30.0, zoom=0.2, shear=20.0, shift=2.0)
    x, y = (20 - 1) / 2, (28 - 1) / 2
    moved = np.stack(
        [maps[:, 0] * x + maps[:, 1] * y + maps[:, 2] - x, maps[:, 3] * x + maps[:, 4] * y + maps[:, 5] - y]
    )
    assert np.abs(moved).max() <= 2 + 1e-4
    assert np.abs(moved).max() > 1.9
    assert np.abs(moved.mean(axis=1)).max() < 0.1


def test_rotation_and_zoom_stay_within_their_ranges() -> None:
    rotated = draw_maps(rotation=10.0)
    angles = np.rad2deg(np.arctan2(rotated[:, 3], rotated[:, 0]))
    assert 9.8 < np.abs(angles).max() <= 10.001
    zoomed = 1 / draw_maps(zoom=0.1)[:, 0] - 1
    assert 0.098 < np.abs(zoomed).max() <= 0.1001


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (7, 6, 3), (28, 28), (4, 511)])
def test_a_flip_alone_is_the_image_or_its_mirror_image(shape: tuple[int, ...]) -> None:
    """To the same bits, about half of each, whether the width is odd or even."""
    generator = np.random.default_rng(6)
    images = generator.integers(1, 256, (400, *shape)).astype(np.uint8)
    flipped = augment_images(generator, images, elastic=0.0, **NO_AUGMENTATION | {"flip": True})
    mirrored = (flipped == images[:, :, ::-1]).reshape(400, -1).all(axis=1)
    assert np.array_equal(flipped[~mirrored], images[~mirrored])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.07)
    assert np.array_equal(transform_images(images, flip=True), images[:, :, ::-1])


def test_maps_without_flips_are_what_they_were_before_there_were_flips() -> None:
    """Rotation, shear, zoom, shift down and right, from five draws per image and no further one."""
    strengths = {"rotation": 30.0, "zoom": 0.2, "shear": 20.0, "shift": 2.0}
    ours, plain = np.random.default_rng(3), np.random.default_rng(3)
    found = affine_maps(ours, 200, (28, 20), flip=False, **strengths)
    rotation, shear, zoom, down, right = np.array([[30], [20], [0.2], [2], [2]]) * plain.uniform(-1, 1, (5, 200))
    assert ours.bit_generator.state == plain.bit_generator.state
    for each, turn, slant, larger, move in zip(
        found, np.deg2rad(rotation), np.deg2rad(shear), zoom, np.stack([right, down], axis=1), strict=True
    ):
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = turned @ [[1, np.tan(slant)], [0, 1]] / (1 + larger)
        offset = [9.5, 13.5] - matrix @ [9.5, 13.5] + move
        assert np.allclose(each, [*matrix[0], offset[0], *matrix[1], offset[1], 0, 0], atol=1e-5)


def test_flips_are_drawn_last_and_mirror_the_image_before_it_is_moved() -> None:
    strengths = {"rotation": 30.0, "zoom": 0.2, "shear": 20.0, "shift": 2.0}
    plain, flipped = draw_maps(**strengths)[:200], draw_maps(flip=True, **strengths)[:200]
    mirrored = (plain != flipped).any(axis=1)
    assert mirrored.mean() == pytest.approx(0.5, abs=0.1)
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 20)).astype(np.uint8)
    by_hand = np.where(mirrored[:, None, None], images[:, :, ::-1], images)
    assert np.allclose(warp(images, flipped), warp(by_hand, plain), atol=0.02)  # of 255; float32 has seven digits
    for moved in ({"rotation": 7.0}, {"shift": (1.0, 2.0)}, {"zoom": -0.1, "shear": 5.0}):
        expected = transform_images(images[:, :, ::-1], **moved)
        assert np.allclose(transform_images(images, flip=True, **moved), expected, atol=0.02)


def test_all_channels_of_an_image_are_augmented_alike() -> None:
    strengths: dict[str, Any] = {"rotation": 10.0, "zoom": 0.1, "shear": 5.0, "shift": 2.0, "flip": True}
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 20, 3)).astype(np.uint8)
    augmented = augment_images(np.random.default_rng(1), images, elastic=1.0, **strengths)
    turned = transform_images(images, rotation=10.0, shift=(0.0, 1.0))
    for channel in range(3):
        grey = images[..., channel]
        alone = augment_images(np.random.default_rng(1), grey, elastic=1.0, **strengths)
        assert np.array_equal(augmented[..., channel], alone)
        assert np.array_equal(turned[..., channel], transform_images(grey, rotation=10.0, shift=(0.0, 1.0)))


def test_shear_keeps_areas_and_slants() -> None:
    maps = draw_maps(shear=20.0)
    assert np.allclose(maps[:, 0] * maps[:, 4] - maps[:, 1] * maps[:, 3], 1, atol=1e-5)
    assert 19.5 < np.rad2deg(np.arctan(np.abs(maps[:, 1]).max())) <= 20.001


def test_elastic_fields_are_smooth_and_as_strong_as_requested() -> None:
    fields = elastic_fields(np.random.default_rng(0), 4000, (28, 20), 1.5)
    assert fields.shape == (4000, 2, 28, 20)
    assert fields.dtype == np.float32
    assert fields[:, :, 14, 10].std() == pytest.approx(1.5, rel=0.05)
    assert abs(fields.mean()) < 0.02
    steps = np.diff(fields, axis=3)[:, :, 5:-5]
    assert steps.std() < 0.3 * fields.std()


def test_elastic_fields_are_filtered_noise() -> None:
    """Their correlation is that of white noise behind the Gaussian filter of Simard et al., computed the plain way."""
    fields = elastic_fields(np.random.default_rng(0), 3000, (28, 28), 1.0)[:, 0, 14]
    noise = np.random.default_rng(1).standard_normal((3000, 28, 28))
    plain = gaussian_filter(noise, 4.0, axes=(1, 2), mode="constant")[:, 14]
    ours, theirs = (np.asarray(np.corrcoef(lines.T))[14, 8:21] for lines in (fields, plain))
    assert np.abs(ours - theirs).max() < 0.08


def test_elastic_fields_are_distinct_and_follow_from_the_seed() -> None:
    first, again = (elastic_fields(np.random.default_rng(7), 50, (12, 12), 1.0) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(np.unique(first.reshape(100, -1), axis=0)) == 100
    assert not elastic_fields(np.random.default_rng(7), 5, (12, 12), 0.0).any()
