"""Two models on the same images: where one alone is right, and the difference of their scores with its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.evaluation.scoring import ACCURACY, Metric, Probabilities

_Z = 1.959964  # standard errors on either side of a 95 % interval


@dataclass(frozen=True)
class Difference:
    """By how much a model is better than another one, with the 95 % confidence interval; negative: it is worse."""

    value: float
    low: float
    high: float

    def __neg__(self) -> "Difference":
        """The same, seen from the other model."""
        return Difference(-self.value, -self.high, -self.low)

    def __str__(self) -> str:
        said = "more than chance" if self.low > 0 or self.high < 0 else "no difference can be told"
        return f"{self.value:z.4f} ({self.low:z.4f} to {self.high:z.4f}): {said}"


def right_alone(one: Probabilities, other: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask, (n,), of the images that `one` predicts correctly and `other` does not; both (n, classes)."""
    alone: NDArray[np.bool_] = (one.argmax(axis=1) == labels) & (other.argmax(axis=1) != labels)
    return alone


def difference(metric: Metric, new: Probabilities, old: Probabilities, labels: NDArray[np.int64]) -> Difference:
    """By how much `new` is better than `old`, both (n, classes), on the same images; labels: (n,), at least two.

    The interval is for other images of the same kind, not for other seeds. For the accuracy, it is Wald's for paired
    proportions after one image is added that `new` alone predicts correctly, and one that `old` alone does: so few such
    images do not look like certainty (D. G. Bonett and R. M. Price, 2012, Journal of educational and behavioral
    statistics 37, p. 479). For other metrics, it is the normal one of the mean gain per image.
    """
    value, error = metric.gain(new, old, labels)
    centre = value
    if metric is ACCURACY:
        won, lost, count = (
            right_alone(new, old, labels).sum() + 1,
            right_alone(old, new, labels).sum() + 1,
            len(labels) + 2,
        )
        centre = float(won - lost) / count
        error = float(np.sqrt(((won + lost) / count - centre**2) / count))
    return Difference(value, centre - _Z * error, centre + _Z * error)
