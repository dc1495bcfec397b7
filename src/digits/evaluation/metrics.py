"""How good predictions are, and how sure that is.

The libraries are imported when something is computed: a command that only shows what it has need not wait for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy:
    """Share of right predictions with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Accuracy:
    """Accuracy of (n, classes) probabilities against (n,) labels.

    The interval is Wilson's (E. B. Wilson, 1927, JASA 22, p. 209), which keeps its level near accuracies of 1.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    right = int((probabilities.argmax(axis=1) == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    return Accuracy(right / len(labels), float(interval.low), float(interval.high), len(labels))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Mean of -log(probability of the true class), in nats."""
    return float(_losses(probabilities, labels).mean())


def _losses(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each image."""
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0].astype(np.float64)
    share = true / probabilities.sum(axis=1, dtype=np.float64)
    # as scikit-learn's log_loss: what is said to be impossible costs 36 nats, not all there is
    losses: NDArray[np.float64] = -np.log(np.maximum(share, np.finfo(np.float64).eps))
    return losses


def paired_gain(new: NDArray[np.floating], old: NDArray[np.floating], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Gain in accuracy of `new` over `old`, both (n, classes), on the same images, and its standard error.

    Only images on which exactly one of the two is right count, as in McNemar's test (Q. McNemar, 1947, Psychometrika
    12, p. 153): that takes away what is easy or hard for both.
    """
    new_right, old_right = new.argmax(axis=1) == labels, old.argmax(axis=1) == labels
    won, lost = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    return (won - lost) / len(labels), float(np.sqrt(won + lost)) / len(labels)


def paired_saving(
    new: NDArray[np.floating], old: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """What the log loss of `new` is lower by than that of `old`, both (n, classes), in nats, and its standard error.

    Of the differences image by image: what is hard for both takes no part in it.
    """
    saved = _losses(old, labels) - _losses(new, labels)
    return float(saved.mean()), float(saved.std(ddof=1)) / float(np.sqrt(len(saved)))


@dataclass(frozen=True)
class Gain:
    """Mean of differences with its 95 % interval; `count` of them."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ({self.low:+.4f} to {self.high:+.4f}, n {self.count})"


def gain_of_fits(new: Sequence[float], old: Sequence[float]) -> Gain:
    """What `new` is better than `old` by, pair by pair, such as accuracies of fits with the same seed on the same fold.

    The interval is Student's (1908, Biometrika 6, p. 1), for two pairs or more: it has the noise of training in it,
    which an interval over the images of one fit has not.
    """
    from scipy.stats import t  # noqa: PLC0415

    differences = np.subtract(new, old)
    count = len(differences)
    half = float(t.ppf(0.975, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    middle = float(differences.mean())
    return Gain(middle, middle - half, middle + half, count)
