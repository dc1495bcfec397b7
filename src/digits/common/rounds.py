"""Choose the fastest candidate by speeds measured in rounds, on a machine that other programs use too. Pure functions.

A round measures every candidate once. A slowdown of some seconds affects a whole round, so the ratio of two speeds of
the same round is more reliable than the speeds. The median over rounds ignores slowdowns that begin within a round.
"""

from collections.abc import Callable, Sequence
from math import comb
from statistics import median

_DOUBT = 0.05  # probability that an interval does not contain the median
_WILD = 8  # largest factor by which a measured value may be too large or too small


def interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % confidence interval of the median, whatever the distribution; wide for fewer than six values.

    values: > 0, at least one. The bounds are two order statistics (Conover, 1999, Practical nonparametric statistics,
    3.2).
    """
    count = len(values)
    beyond = [sum(comb(count, below) for below in range(cut + 1)) / 2**count for cut in range(count)]
    cut = sum(2 * probability <= _DOUBT for probability in beyond) - 1
    return (sorted(values)[cut], sorted(values)[-1 - cut]) if cut >= 0 else (min(values) / _WILD, _WILD * max(values))


def choice(rounds: Sequence[Sequence[float]], enough: float) -> tuple[int, bool]:
    """Index of the first candidate that is at least `enough` times as fast as every other, and whether it is certain.

    rounds: for each round, the speeds of all candidates in the order of preference. enough: 0 to 1. Ratios are judged
    by their medians. If no candidate is fast enough, which needs three or more, it is the fastest one, uncertain.
    """

    def passes(candidate: int, of: Callable[[list[float]], float]) -> bool:
        others = [other for other in range(len(rounds[0])) if other != candidate]
        return all(of([speeds[candidate] / speeds[other] for speeds in rounds]) >= enough for other in others)

    for candidate in range(len(rounds[0])):
        if passes(candidate, median):
            sure = passes(candidate, lambda ratios: interval(ratios)[0])
            return candidate, sure and not any(
                passes(each, lambda ratios: interval(ratios)[1]) for each in range(candidate)
            )
    return max(range(len(rounds[0])), key=lambda candidate: median(speeds[candidate] for speeds in rounds)), False
