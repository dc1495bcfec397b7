"""Normalising and deskewing: fitted on the training part alone, the same for one image and for many."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from digits.models.preprocessing import Normaliser, deskewer
from digits.models.warping import warp

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 9)).astype(np.uint8)


def test_constant_scales_and_none() -> None:
    assert np.allclose(Normaliser("/255").fit_transform(IMAGES), IMAGES / 255)
    assert np.array_equal(Normaliser("/256").fit_transform(IMAGES), IMAGES / 256)
    assert np.array_equal(Normaliser("none").fit_transform(IMAGES), IMAGES)


def test_standard_has_mean_zero_and_deviation_one() -> None:
    normalised = Normaliser("standard").fit_transform(IMAGES)
    assert normalised.mean() == pytest.approx(0, abs=1e-5)
    assert normalised.std() == pytest.approx(1, abs=1e-5)


def test_minmax_is_scikit_learns() -> None:
    assert np.allclose(Normaliser("minmax").fit_transform(IMAGES), MinMaxScaler().fit_transform(IMAGES), atol=1e-6)


@pytest.mark.parametrize("kind", ["/255", "/256", "standard", "minmax", "none"])
def test_only_the_training_part_is_fitted_on(kind: str) -> None:
    fitted = Normaliser(kind).fit(IMAGES[:25])
    assert fitted.transform(IMAGES[25:]).dtype == np.float32
    one_by_one = [fitted.transform(image[None])[0] for image in IMAGES[25:]]
    assert np.array_equal(fitted.transform(IMAGES[25:]), one_by_one)
    assert np.isfinite(Normaliser(kind).fit(np.zeros((3, 9), np.uint8)).transform(IMAGES)).all()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        Normaliser("foo").fit(IMAGES)


def sheared(slant: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """An upright bar, leaned over and moved."""
    bar = np.zeros((1, 28, 28))
    bar[:, 6:22, 12:16] = 200
    map_back = [1, slant, -slant * 13.5 - shift[0], 0, 1, -shift[1], 0, 0]
    return warp(bar, np.array([map_back], np.float32)).reshape(1, -1)


def ink_moments(image: np.ndarray) -> tuple[float, float, float]:
    """Centre of the ink, row and column, and its covariance."""
    row, column = np.mgrid[:28, :28].reshape(2, -1)
    centre = np.average(row, weights=image[0]), np.average(column, weights=image[0])
    return *centre, float(np.average((row - centre[0]) * (column - centre[1]), weights=image[0]))


@pytest.mark.parametrize("slant", [-0.4, 0.0, 0.3])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.5, -3.0)])
def test_a_leaning_bar_is_put_upright_in_the_middle(slant: float, shift: tuple[float, float]) -> None:
    leaning = sheared(slant, shift)
    upright = deskewer((28, 28)).fit_transform(leaning)
    row, column, covariance = ink_moments(upright)
    assert row == pytest.approx(13.5, abs=0.1)
    assert column == pytest.approx(13.5, abs=0.1)
    assert abs(covariance) < 0.3
    assert abs(ink_moments(leaning)[2]) > 5 or slant == 0
    assert np.abs(upright - sheared(0.0)).mean() < 6


def test_images_without_a_slant_are_left_alone() -> None:
    empty, dot, line = np.zeros((3, 28, 28), np.uint8)
    dot[13:15, 13:15] = 255
    line[13:15, 5:23] = 255  # lies on its side: a steep slant must not tear it apart
    for image in (empty, dot, line):
        kept = deskewer((28, 28)).fit_transform(image.reshape(1, -1))
        assert np.allclose(kept, image.reshape(1, -1), atol=1e-2)


def test_deskewing_one_image_is_deskewing_many() -> None:
    many = np.random.default_rng(0).integers(0, 256, (20, 784)).astype(np.uint8)
    fitted = deskewer((28, 28)).fit(many)
    assert np.allclose(fitted.transform(many), [fitted.transform(image[None])[0] for image in many], atol=0.05)


def test_the_channels_of_an_image_are_deskewed_alike() -> None:
    """By the ink of all of them: what lies in two channels is moved as if it lay in one."""
    leaning = sheared(0.3, (2.5, -3.0))
    upright = deskewer((28, 28)).fit_transform(leaning).reshape(28, 28)
    upper = np.where(np.arange(784) < 392, leaning, 0)
    split, equal = (
        deskewer((28, 28), 3).fit_transform(np.dstack(channels).reshape(1, -1)).reshape(28, 28, 3)
        for channels in ((upper, 0 * upper, leaning - upper), (leaning, leaning, leaning))
    )
    assert np.allclose(split.sum(axis=2), upright, atol=0.05)
    assert not split[..., 1].any()
    assert split[:12, :, 0].any()
    assert not split[:12, :, 2].any()
    assert (equal == equal[..., :1]).all()
    assert np.allclose(equal[..., 0], upright, atol=0.05)
