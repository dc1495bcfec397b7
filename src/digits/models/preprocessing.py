"""Preprocessing as scikit-learn transformers: deskewing, normalisation, principal components."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from digits.models.warping import warp

_MIN_ROW_VARIANCE = 1e-3  # rows squared; ink within one row has no slant
_MAX_SLANT = 1.0  # columns per row, 45 degrees; a steeper slant is a dot or a bar, not handwriting


def deskewer(image_shape: tuple[int, int], channels: int = 1) -> FunctionTransformer:
    """A transformer that centres the ink (pixel values) of images and shears them upright; nothing is fitted.

    The slant is the slope of column on row by least squares, weighted by ink, from second moments as in Y. LeCun et al.
    (1998), Gradient-based learning applied to document recognition, Proc. IEEE 86, section III-A. channels: values per
    pixel, in sum its ink; all of them are moved alike.
    """
    return FunctionTransformer(deskew, kw_args={"image_shape": image_shape, "channels": channels})


def deskew(X: NDArray[np.number], image_shape: tuple[int, int], channels: int) -> NDArray[np.float32]:
    """X, (n, pixels), deskewed and centred, in the same units, float32; empty images stay."""
    count, (height, width) = len(X), image_shape
    ink = np.clip(X, 0, None).astype(np.float32)
    mass = ink.sum(axis=1)
    ink /= np.where(mass > 0, mass, 1)[:, None]
    row, column, _ = np.mgrid[:height, :width, :channels].reshape(3, -1).astype(np.float32)
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    mean_row, mean_column = ink @ row, ink @ column
    row_variance = ink @ row**2 - mean_row**2
    covariance = ink @ (row * column) - mean_row * mean_column
    flat = row_variance < _MIN_ROW_VARIANCE
    slant = np.clip(covariance / np.where(flat, 1, row_variance), -_MAX_SLANT, _MAX_SLANT)
    empty = mass == 0
    shift_row = np.where(empty, 0, mean_row - middle_row)
    shift_column = np.where(empty, 0, mean_column - middle_column)
    zero, one = np.zeros(count), np.ones(count)
    maps = [one, slant, shift_column - slant * middle_row, zero, one, shift_row, zero, zero]
    images = np.asarray(X).reshape(count, height, width, channels)
    return warp(images, np.stack(maps, axis=1).astype(np.float32)).reshape(X.shape)


class CappedPCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's PCA with `n_components` capped at the number of training images and of pixels.

    Fitted: pca_, the PCA itself.
    """

    def __init__(self, n_components: int = 50):
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit the components on X, (n, pixels)."""
        pixels = validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        # this solver works in float32, and takes seconds if there are far more images than pixels
        self.pca_ = PCA(min(self.n_components, *pixels.shape), svd_solver="covariance_eigh").fit(pixels)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """X, (n, pixels), in components, (n, n_components or fewer), float64 or float32 as X."""
        check_is_fitted(self)
        pixels = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        components: NDArray[np.floating] = self.pca_.transform(pixels)
        return components

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Normaliser(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """(pixels - offset) * scale, with offset and scale fitted on the training part alone.

    scikit-learn's scalers do the same for arrays. Here offset and scale are attributes, because the Keras family
    applies them in TensorFlow, after augmentation.

    kind: `/255`, `/256`, `standard` (mean 0, standard deviation 1 over all pixels), `minmax` (each pixel 0 to 1),
    `none`. Fitted: offset_ and scale_, float32, () or (pixels,).
    """

    def __init__(self, kind: str = "/255"):
        self.kind = kind

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn offset and scale from X, (n, pixels). Raises ValueError for an unknown kind."""
        pixels = validate_data(self, X)
        offset: Any
        scale: Any
        if self.kind in ("/255", "/256"):
            offset, scale = 0.0, 1 / int(self.kind[1:])
        elif self.kind == "standard":
            offset, scale = pixels.mean(dtype=np.float64), 1 / (pixels.std(dtype=np.float64) or 1)
        elif self.kind == "minmax":
            low, high = pixels.min(axis=0).astype(float), pixels.max(axis=0).astype(float)
            # a constant pixel carries no information; dividing by 255 keeps an unusual test value small
            offset, scale = low, 1 / np.where(high > low, high - low, 255)
        elif self.kind == "none":
            offset, scale = 0.0, 1.0
        else:
            raise ValueError(f"unknown kind of normalisation {self.kind!r}")
        self.offset_ = np.float32(offset)
        self.scale_ = np.float32(scale)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """X, (n, pixels) of any number type, as normalised float32."""
        check_is_fitted(self)
        pixels: NDArray[np.float32] = validate_data(self, X, reset=False).astype(np.float32)
        pixels -= self.offset_
        pixels *= self.scale_
        return pixels

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # for every input dtype
        return tags
