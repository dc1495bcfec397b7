"""The metrics that competitions count by: values with intervals, gains with standard errors, which direction is better.

Each is a mean of contributions, one per image, whose spread gives all errors. The truth is given as probabilities of
the classes, (n, classes): 1 for the label; with a blend's probabilities instead, a metric has the value that the blend
expects.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from digits.evaluation.metrics import Accuracy as Score  # a new name there would have all fits made anew
from digits.evaluation.metrics import accuracy, paired_gain

_Z = 1.959964  # standard errors on either side of a 95 % interval
_LEAST = 1e-15  # floor of a probability before its logarithm, as on Kaggle

__all__ = ["ACCURACY", "LOG_LOSS", "MACRO_F1", "METRICS", "Metric", "Score"]
Probabilities = NDArray[np.floating]


class Metric(ABC):
    """A metric; probabilities: (n, classes), labels: (n,), at least two images.

    name: in the params. title: in text. sign: 1 if higher is better, -1 if lower is. unit: what follows a score in a
    sentence; empty for the accuracy.
    """

    name: str
    title: str
    unit: str
    sign = 1

    @property
    def direction(self) -> str:
        """What to add to the title once per text, where lower is better."""
        return " (lower is better)" if self.sign < 0 else ""

    def loss(self, value: float) -> float:
        """How far a value is from the best one: 0 if lower is better, else 1; its own inverse."""
        return 1 - value if self.sign > 0 else value

    @property
    def order(self) -> tuple[str, str]:
        """How a member's gain is computed: from the scores of the blend with and without it, in this order."""
        return ("with", "without") if self.sign > 0 else ("without", "with")

    @abstractmethod
    def contributions(self, probabilities: Probabilities, truth: Probabilities) -> Probabilities:
        """One number per image, (n,), whose mean is the metric; truth: (n, classes), see the module."""

    def of(self, probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.floating]:
        """The contributions where the labels are known."""
        return self.contributions(probabilities, np.eye(probabilities.shape[1])[labels])

    def value(self, probabilities: Probabilities, labels: NDArray[np.int64]) -> float:
        """The metric."""
        return float(self.of(probabilities, labels).mean())

    def score(self, probabilities: Probabilities, labels: NDArray[np.int64]) -> Score:
        """The metric with its interval; here the normal one, cut at 0."""
        each = self.of(probabilities, labels)
        mean, half_width = float(each.mean()), _Z * float(np.sqrt(self.spread(each, labels) / len(each)))
        return Score(mean, max(0.0, mean - half_width), mean + half_width, len(each))

    def of_run(self, metrics: Mapping[str, float], oof: Probabilities, labels: NDArray[np.int64]) -> Score:
        """The score of a run out of fold; metrics: those that it has stored, its accuracy among them."""
        return self.score(oof, labels)

    def spread(self, each: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
        """Variance of the contribution of one image."""
        return float(each.var(ddof=1))

    def gain(self, new: Probabilities, old: Probabilities, labels: NDArray[np.int64]) -> tuple[float, float]:
        """By how much `new` is better than `old` on the same images, and the standard error of that.

        Images that are easy or hard for both add no noise.
        """
        gains = self.sign * (self.of(new, labels) - self.of(old, labels))
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


class _Accuracy(Metric):
    """Share of correct predictions; interval and error as in `metrics`."""

    name, title, unit = "accuracy", "accuracy", ""

    def contributions(self, probabilities: Probabilities, truth: Probabilities) -> Probabilities:
        """The probability of the predicted class."""
        found: Probabilities = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
        return found

    def score(self, probabilities: Probabilities, labels: NDArray[np.int64]) -> Score:
        """With Wilson's interval."""
        return accuracy(probabilities, labels)

    def of_run(self, metrics: Mapping[str, float], oof: Probabilities, labels: NDArray[np.int64]) -> Score:
        """As it was stored."""
        return Score(metrics["cv_accuracy"], metrics["cv_low"], metrics["cv_high"], len(labels))

    def gain(self, new: Probabilities, old: Probabilities, labels: NDArray[np.int64]) -> tuple[float, float]:
        """With McNemar's standard error."""
        return paired_gain(new, old, labels)


class _LogLoss(Metric):
    """Mean of -log(probability of the true class), in nats; rows are normalised to sum to 1."""

    name, title, unit, sign = "log-loss", "log loss", " log loss", -1

    def contributions(self, probabilities: Probabilities, truth: Probabilities) -> Probabilities:
        """The losses, at most 34.5 nats."""
        shares = probabilities.astype(np.float64) / probabilities.sum(axis=1, dtype=np.float64, keepdims=True)
        losses: NDArray[np.float64] = -(truth * np.log(np.clip(shares, _LEAST, 1 - _LEAST))).sum(axis=1)
        return losses

    def spread(self, each: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
        """At least that of half an image's loss of 1 nat: no loss yet proves little."""
        return max(super().spread(each, labels), 0.5 / (len(each) + 1))


class _MacroF1(Metric):
    """Mean over the classes of F1, the harmonic mean of precision and recall.

    Errors are those of the delta method (K. Takahashi et al., 2022, Confidence interval for micro-averaged F1 and
    macro-averaged F1 scores, Applied Intelligence 52, p. 4961).
    """

    name, title, unit = "macro-f1", "macro F1", " macro F1"

    def contributions(self, probabilities: Probabilities, truth: Probabilities) -> Probabilities:
        """The linear terms of the mean F1, which is a ratio of means for each class; classes that never occur: none."""
        predicted = np.eye(truth.shape[1])[probabilities.argmax(axis=1)]
        hits, all_ = 2 * truth * predicted, truth + predicted
        used = all_.any(axis=0)
        hits, all_, f1 = hits[:, used], all_[:, used], hits[:, used].sum(axis=0) / all_[:, used].sum(axis=0)
        each: NDArray[np.float64] = f1.mean() + ((hits - f1 * all_) / all_.mean(axis=0)).mean(axis=1)
        return each

    def spread(self, each: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
        """At least that of equally frequent errors in all classes: a rare class without an error proves little."""
        mean = np.clip(each.mean(), 0.5 / (len(each) + 1), 1 - 0.5 / (len(each) + 1))  # assumes half an error
        sizes = np.unique(labels, return_counts=True)[1]
        return float(max(each.var(ddof=1), mean * (1 - mean) * len(each) * (1 / sizes).mean() / len(sizes)))

    def score(self, probabilities: Probabilities, labels: NDArray[np.int64]) -> Score:
        """With Wilson's interval for as many images as give an accuracy of this value the same variance."""
        each = self.of(probabilities, labels)
        mean = float(each.mean())
        least = 0.5 / (len(each) + 1)
        bounded = min(max(mean, least), 1 - least)
        count = bounded * (1 - bounded) * len(each) / self.spread(each, labels)
        centre, half_width = mean + _Z**2 / (2 * count), _Z * np.sqrt(mean * (1 - mean) / count + (_Z / count) ** 2 / 4)
        low, high = ((centre + side * half_width) / (1 + _Z**2 / count) for side in (-1, 1))
        return Score(mean, max(0.0, float(low)), min(1.0, float(high)), len(each))


ACCURACY, LOG_LOSS, MACRO_F1 = _Accuracy(), _LogLoss(), _MacroF1()
METRICS: dict[str, Metric] = {metric.name: metric for metric in (ACCURACY, LOG_LOSS, MACRO_F1)}
