"""Reliability diagrams: how often predictions of a given confidence are correct."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reliability:
    """Bins in order of confidence: mean confidence, accuracy and number of images in each, (bins,).

    confidence: the probability of the predicted class. ece: expected calibration error, 0 to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    ece: float


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = 10) -> Reliability:
    """Bins with equal numbers of images; probabilities: (n, classes), labels: (n,). No bin is empty.

    The expected calibration error is the mean distance between confidence and accuracy, weighted by the bins' sizes
    (M. P. Naeini et al., 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI, p. 2903).
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    groups = [group for group in np.array_split(np.argsort(sure, kind="stable"), bins) if len(group)]
    confidence = np.array([sure[group].mean() for group in groups])
    accuracy = np.array([right[group].mean() for group in groups])
    count = np.array([len(group) for group in groups])
    ece = float((np.abs(confidence - accuracy) * count).sum() / count.sum())
    return Reliability(confidence, accuracy, count, ece)
