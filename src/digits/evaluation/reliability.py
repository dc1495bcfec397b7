"""Whether predictions are as often right as they are sure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reliability:
    """By bins: mean confidence, share that is right, number of images. error: expected calibration error."""

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = 10) -> Reliability:
    """Bins of as many images each, by the probability of the predicted class; (n, classes) and (n,).

    The expected calibration error is the mean distance between confidence and accuracy, weighted by the bins' sizes
    (M. P. Naeini et al., 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI, p. 2903).
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    groups = [group for group in np.array_split(np.argsort(sure, kind="stable"), bins) if len(group)]
    confidence = np.array([sure[group].mean() for group in groups])
    accuracy = np.array([right[group].mean() for group in groups])
    count = np.array([len(group) for group in groups])
    error = float((np.abs(confidence - accuracy) * count).sum() / count.sum())
    return Reliability(confidence, accuracy, count, error)
