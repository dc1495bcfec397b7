"""Accuracy, log loss, and differences between models, each with its uncertainty.

Functions that need SciPy import it themselves, so that commands which only show saved figures start at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy:
    """Value of a metric, here the accuracy, with its 95 % confidence interval; `count`: number of images."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Accuracy:
    """Accuracy of (n, classes) probabilities against (n,) labels.

    The interval is Wilson's (E. B. Wilson, 1927, JASA 22, p. 209), which keeps its coverage near accuracies of 1.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    right = int((probabilities.argmax(axis=1) == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    return Accuracy(right / len(labels), float(interval.low), float(interval.high), len(labels))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Mean of -log(probability of the true class), in nats; (n, classes) probabilities and (n,) labels.

    Rows are normalised to sum to 1, and no image counts for more than 36 nats, both as in scikit-learn's log_loss.
    """
    return float(_losses(probabilities, labels).mean())


def _losses(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log loss of each image, (n,), in nats."""
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0].astype(np.float64)
    share = true / probabilities.sum(axis=1, dtype=np.float64)
    losses: NDArray[np.float64] = -np.log(np.maximum(share, np.finfo(np.float64).eps))
    return losses


def paired_gain(new: NDArray[np.floating], old: NDArray[np.floating], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Gain in accuracy of `new` over `old`, both (n, classes), on the same images, and its standard error.

    Only images that exactly one of the two predicts correctly count, as in McNemar's test (Q. McNemar, 1947,
    Psychometrika 12, p. 153): images that are easy or hard for both add no noise.
    """
    new_right, old_right = new.argmax(axis=1) == labels, old.argmax(axis=1) == labels
    won, lost = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    return (won - lost) / len(labels), float(np.sqrt(won + lost)) / len(labels)


def paired_loss_reduction(
    new: NDArray[np.floating], old: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """Log loss of `old` minus that of `new`, both (n, classes), in nats, and its standard error.

    The error is that of the mean difference per image: images that are hard for both add no noise.
    """
    reduction = _losses(old, labels) - _losses(new, labels)
    return float(reduction.mean()), float(reduction.std(ddof=1)) / float(np.sqrt(len(reduction)))


@dataclass(frozen=True)
class Gain:
    """Mean gain over folds, and its interval; `count`: number of folds."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ({self.low:+.4f} to {self.high:+.4f}, n {self.count})"


def gain_of_folds(gains: Sequence[float], test_share: float, level: float) -> Gain:
    """Mean gain of one model over another on at least two folds; the interval covers noise of training and of images.

    gains: one for each fold. Fits from several seeds on a fold share its test images, so they are not independent:
    their mean is one gain. test_share: test images of a fold per training image. level: probability, 0 to 1, that the
    gain lies below the interval, and also that it lies above it.

    The interval is Student's with the variance of C. Nadeau and Y. Bengio (2003, Machine Learning 52, p. 239):
    (1 / J + test_share) times that of the J gains, because the folds share training images; J - 1 degrees of freedom.
    """
    from scipy.stats import t  # noqa: PLC0415

    count, mean = len(gains), float(np.mean(gains))
    half_width = float(t.ppf(1 - level, count - 1) * np.std(gains, ddof=1) * np.sqrt(1 / count + test_share))
    return Gain(mean, mean - half_width, mean + half_width, count)
