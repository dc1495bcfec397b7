"""Draws scores on the scale that matters, that of errors, as SVG whose letters keep their size on any screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import NamedTuple

from markupsafe import Markup

from digits.evaluation.scoring import Metric
from digits.report.layout import Figure

_ROW = 28  # pixels
_ROOM = 25.0  # per cent, that the name of the axis needs before its first tick


class Interval(NamedTuple):
    """Of 95 %."""

    low: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A score. name: whose. own: whether it is an estimate of ours. interval: of an estimate, even of another score."""

    name: str
    value: float
    own: bool = False
    interval: Interval | None = None


def digits_of(interval: Interval) -> int:
    """Decimals that a score deserves: two significant ones of half the interval's width, from 2 to 5."""
    half = (interval.high - interval.low) / 2
    return min(5, max(2, 1 - floor(log10(half)))) if half > 0 else 4


def scale(title: str, marks: Sequence[Mark], metric: Metric, digits: int) -> Figure:
    """A row per mark, best first; as far as from 0.9 to 0.99 it is from 0.99 to 0.999. The own intervals are shaded."""
    marks = sorted(marks, key=lambda mark: -metric.sign * mark.value)
    known = [metric.loss(value) for mark in marks for value in (mark.value, *(mark.interval or ()))]
    least, most = min([loss for loss in known if loss > 0], default=0.1), max(0.1, *known)
    least = min(least, most / 2) / 1.3

    def place(value: float) -> float:
        return 3 + 94 * (1 - max(0.0, log10(max(metric.loss(value), least) / least)) / log10(most / least))

    height = _ROW * len(marks)
    parts = []
    for level in _levels(least, most):
        x = place(metric.loss(level))
        parts += [
            Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(x, height),
            Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{:.6g}</text>').format(
                x, height + 18, metric.loss(level)
            ),
        ]
    if place(metric.loss(_levels(least, most)[-1])) > _ROOM:
        parts.append(Markup('<text x="0" y="{}">{}</text>').format(height + 18, metric.title))
    for row, mark in enumerate(marks):
        y, x, left = _ROW * (row + 0.5), place(mark.value), place(mark.value)
        right = x
        if mark.interval:
            left, right = sorted(map(place, mark.interval))
            if mark.own:
                band = '<rect class="band" x="{:.2f}%" width="{:.2f}%" y="0" height="{}"/>'
                parts.insert(0, Markup(band).format(left, right - left, height))
            parts.append(
                Markup('<line class="interval" x1="{0:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{2}"/>').format(left, right, y)
            )
        parts.append(
            Markup('<circle class="{}" cx="{:.2f}%" cy="{}" r="6"/>').format("own" if mark.own else "other", x, y)
        )
        first, last = min(x, left), max(x, right)
        end, at, shift = ("end", first, -12) if first > 100 - last else ("start", last, 12)  # where there is more room
        label = '<text class="{}" x="{:.2f}%" dx="{}" y="{}" text-anchor="{}">{} {:.{}f}</text>'
        kind = "own" if mark.own else ""
        parts.append(Markup(label).format(kind, at, shift, y + 5, end, mark.name, mark.value, digits))
    svg = '<svg class="scale" aria-hidden="true" focusable="false" width="100%" height="{}">{}</svg>'
    text = "; ".join(f"{mark.name}: {mark.value:.{digits}f}" for mark in marks)
    return Figure(title, text, Markup(svg).format(height + 24, Markup("").join(parts)))


def sparkline(values: Sequence[float], metric: Metric) -> Markup:
    """Scores in the order in which they were made, on the same scale, a line without axes."""
    heights = [-log10(max(metric.loss(value), 1e-6)) for value in values]
    low, span = min(heights), max(heights) - min(heights) or 1.0
    points = [(3 + 94 * i / (len(values) - 1), 90 - 80 * (height - low) / span) for i, height in enumerate(heights)]
    line = '<line class="interval" x1="{:.1f}%" y1="{:.1f}%" x2="{:.1f}%" y2="{:.1f}%"/>'
    drawn = [Markup(line).format(*start, *end) for start, end in pairwise(points)]
    drawn += [Markup('<circle class="own" cx="{:.1f}%" cy="{:.1f}%" r="4"/>').format(*point) for point in points]
    svg = '<svg class="spark" aria-hidden="true" focusable="false" width="100%" height="48">{}</svg>'
    return Markup(svg).format(Markup("").join(drawn))


def _levels(least: float, most: float) -> list[float]:
    """Losses with a tick: powers of ten, and where these are few, also 2 and 5 times as much."""
    powers = [10.0**power for power in range(floor(log10(least)), ceil(log10(most)) + 1)]
    factors = (1,) if most / least > 50 else (1, 2, 5)
    return [power * factor for power in powers for factor in factors if least <= power * factor <= most]
