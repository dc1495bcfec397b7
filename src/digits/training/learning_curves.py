"""How many errors a plan's fits are expected to make, alone and blended. Pure functions: no clock, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import log

# All figures were measured on the digits, see docs/experiments/learning-curves.md.
_MEASURED_ON = 25_200  # images that the fits with a measured accuracy have learned from
_MORE_IMAGES = 0.25  # errors fall with this power of the number of images, at the same epochs
_SHORTER = 0.4  # errors rise with this power as the epochs fall below the fewest that were measured
_BLENDED = 0.19  # share of the errors of a single fit that a blend of very many fits does not make


@dataclass(frozen=True)
class LearningCurve:
    """Error rates, 0 to 1, of single fits of a network after some numbers of epochs. At least one was measured."""

    measured: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, accuracies: Mapping[int, float]) -> "LearningCurve":
        """From accuracies by epochs; where a longer fit was less accurate by chance, it counts as no better."""
        epochs = sorted(accuracies)
        return cls(tuple(zip(epochs, accumulate((1 - accuracies[each] for each in epochs), min), strict=True)))

    def times(self, factor: float, power: float = 1.0) -> "LearningCurve":
        """The curve with errors of `factor` times those of this one, after they were raised to a power."""
        return LearningCurve(tuple((epochs, min(1.0, factor * error**power)) for epochs, error in self.measured))

    def compared_with(self, other: "LearningCurve") -> tuple[float, float]:
        """The factor and the power of `times` that make another curve pass through this one's first and last point.

        The power is 1 where they say nothing of the slope.
        """
        (fewest, highest), (most, lowest) = self.measured[0], self.measured[-1]
        slope, others = log(highest / lowest), log(other.measured_error(fewest) / other.measured_error(most))
        power = slope / others if slope > 0 and others > 0 else 1.0
        return lowest / other.measured_error(most) ** power, power

    def error(self, epochs: float, images: int) -> float:
        """Expected error rate of a fit that learns from `images` for so many epochs."""
        return float(min(1.0, self.measured_error(epochs) * (_MEASURED_ON / images) ** _MORE_IMAGES))

    def measured_error(self, epochs: float) -> float:
        """Expected error rate of a fit that learns from as many images as those that were measured.

        Between two measured lengths it follows a power of the epochs. Longer fits than measured gain nothing.
        """
        (fewest, highest), (_, lowest) = self.measured[0], self.measured[-1]
        if epochs < fewest:
            return float(min(1.0, highest * (fewest / epochs) ** _SHORTER))
        for (before, higher), (after, lower) in pairwise(self.measured):
            if epochs <= after:
                return float(higher * (lower / higher) ** (log(epochs / before) / log(after / before)))
        return lowest


def as_measured(error: float, images: int) -> float:
    """The error rate that a fit with this one on `images` would have if it learned from as many as those measured."""
    return float(error * (images / _MEASURED_ON) ** _MORE_IMAGES)


def blended(errors: Sequence[float]) -> float:
    """Expected error rate of a blend of fits with these error rates; there must be one at least."""
    return sum(errors) / len(errors) * (1 - _BLENDED * (1 - 1 / len(errors)))
