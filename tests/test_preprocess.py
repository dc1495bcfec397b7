"""Normalising: fitted on what is given, the same for NumPy and Keras."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from digits.preprocess import Normaliser

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
def test_only_the_training_part_is_learned_from(kind: str) -> None:
    fitted = Normaliser(kind).fit(IMAGES[:25])
    assert fitted.transform(IMAGES[25:]).dtype == np.float32
    one_by_one = [fitted.transform(image[None])[0] for image in IMAGES[25:]]
    assert np.array_equal(fitted.transform(IMAGES[25:]), one_by_one)
    assert np.isfinite(Normaliser(kind).fit(np.zeros((3, 9), np.uint8)).transform(IMAGES)).all()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        Normaliser("foo").fit(IMAGES)
