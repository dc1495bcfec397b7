"""Pixels 0..255 -> the small numbers that networks learn from."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin


class Normaliser(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """(pixels - offset) * scale, with offset and scale fitted on the training part alone.

    scikit-learn's scalers do the same for arrays; here the two numbers are wanted as well, because Keras applies them
    to images that are still to be distorted.

    kind: `/255`, `/256`, `standard` (mean 0, standard deviation 1 over all pixels), `minmax` (each pixel 0 to 1),
    `none`. Fitted: offset_ and scale_, float32, () or (pixels,).
    """

    def __init__(self, kind: str = "/255"):
        self.kind = kind

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn offset and scale from X, (n, pixels). Raises ValueError for an unknown kind."""
        pixels = np.asarray(X)
        offset: Any
        scale: Any
        if self.kind in ("/255", "/256"):
            offset, scale = 0.0, 1 / int(self.kind[1:])
        elif self.kind == "standard":
            offset, scale = pixels.mean(dtype=np.float64), 1 / (pixels.std(dtype=np.float64) or 1)
        elif self.kind == "minmax":
            low, high = pixels.min(axis=0).astype(float), pixels.max(axis=0).astype(float)
            # a pixel that never changes says nothing; dividing by 255 keeps an unusual test value small
            offset, scale = low, 1 / np.where(high > low, high - low, 255)
        elif self.kind == "none":
            offset, scale = 0.0, 1.0
        else:
            raise ValueError(f"unknown kind of normalisation {self.kind!r}")
        self.offset_ = np.float32(offset)
        self.scale_ = np.float32(scale)
        self.n_features_in_ = pixels.shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """X, (n, pixels) of any number type, as normalised float32."""
        normalised: NDArray[np.float32] = (np.asarray(X, dtype=np.float32) - self.offset_) * self.scale_
        return normalised
