"""Temperature scaling: one number makes all probabilities as confident as they are accurate.

C. Guo et al. (2017), On calibration of modern neural networks, ICML, section 4.2; with the softened targets of J. Platt
(1999), Probabilistic outputs for support vector machines, in Advances in large margin classifiers, section 2.2.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_SMALLEST = 1e-30  # floor of a probability before its logarithm; too small to change a sum in float32
_RANGE = 10.0  # the temperature is at most this, and at least its inverse


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """Probabilities, (n, classes), raised to the power 1 / temperature and normalised to sum to 1; float32.

    A temperature below 1 makes them more confident, above 1 less; the predicted class never changes.
    """
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    scaled: NDArray[np.float32] = softmax(logits, axis=1).astype(np.float32)
    return scaled


def best_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature, from 0.1 to 10, that gives probabilities, (n, classes), the lowest log loss; labels: (n,).

    Each label counts as wrong with a probability of 1 / (n + 2): a model without an error in n images may still err on
    others (Platt's softened targets).
    """
    logits = np.log(np.maximum(probabilities, _SMALLEST)).astype(np.float64)
    count, classes = logits.shape
    wrong = 1 / (count + 2)
    targets = np.full((count, classes), wrong / (classes - 1))
    targets[np.arange(count), labels] = 1 - wrong

    def loss(log_temperature: float) -> float:
        return float(-(targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    bound = np.log(_RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
