"""Draws scores on the scale that matters, that of errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

from markupsafe import Markup

from digits.evaluation.scoring import Metric
from digits.report.chart import ONE, TWO, Drawn, Tips, alt, body, chart, declared, near
from digits.report.layout import Column, Figure, Table

_ROW = 28  # pixels
_LABELS = {"align": "left ? 'right' : 'left'", "dx": "left ? -12 : 12", "fontWeight": "own ? 'bold' : 'normal'"}


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
        return max(least, metric.loss(value))

    ends = [sorted(map(place, mark.interval or (mark.value,))) for mark in marks]
    nearer = [max(end) * min(end) < least * most for end in ends]  # to the right, so that a name has room on the left
    intervals = [
        f"{mark.interval.low:.{digits}f} to {mark.interval.high:.{digits}f}" if mark.interval else "" for mark in marks
    ]
    columns: dict[str, Column] = {
        "score of": ("", [mark.name for mark in marks]),
        "score": (f".{digits}f", [mark.value for mark in marks]),
        "95 % interval": ("", intervals),
    }
    also = {
        "row": range(len(marks)),
        "own": [mark.own for mark in marks],
        "loss": [place(mark.value) for mark in marks],
        "low": [end[0] for end in ends],
        "high": [end[-1] for end in ends],
        "left": nearer,
        "label at": [max(each) if left else min(each) for each, left in zip(ends, nearer, strict=True)],
        "label": [f"{mark.name} {mark.value:.{digits}f}" for mark in marks],
    }

    def drawn(base: alt.Chart, tips: Tips) -> Drawn:
        shown = f"format({'1 - ' * (metric.sign > 0)}datum.value, '.6~g')"
        axis = alt.Axis(values=_levels(least, most), labelExpr=shown, title=metric.title)
        on = alt.Scale(type="log", domain=[most, least], nice=False)
        y, span = alt.Y("row:O").axis(None), (alt.X("low:Q", axis=axis, scale=on), alt.X2("high"))
        own = alt.when(alt.datum.own)
        band = base.transform_filter(alt.datum.own).mark_rect(color=ONE, opacity=0.12).encode(*span)
        points = base.mark_circle(size=110, opacity=1).encode(
            alt.X("loss:Q", axis=axis, scale=on),
            y,
            tooltip=tips,
            color=own.then(alt.value(ONE)).otherwise(alt.value(TWO)),
        )
        by = {name: alt.ExprRef(f"datum.{which}") for name, which in _LABELS.items()}
        names = base.mark_text(**by).encode(alt.X("label at:Q", axis=axis, scale=on), y, alt.Text("label:N"))
        return (
            band
            + base.mark_rule(color=ONE, strokeWidth=3, opacity=0.6).encode(*span, y)
            + names
            + points.add_params(near())
        )

    return chart(title, Table(title, columns), drawn, _ROW * len(marks), also=also)


def sparkline(values: Sequence[float], metric: Metric) -> Markup:
    """Scores in the order in which they were made, on the same scale, a line without axes."""
    columns: dict[str, Column] = {"submission": ("d", range(1, len(values) + 1)), "expected score": (".4f", values)}
    also = {"loss": [max(metric.loss(value), 1e-6) for value in values]}

    def drawn(base: alt.Chart, tips: Tips) -> Drawn:
        axes = [
            alt.X("submission:Q").scale(zero=False, nice=False, padding=6).axis(None),
            alt.Y("loss:Q").scale(type="log", reverse=True, nice=False, padding=6).axis(None),
        ]
        points = base.mark_circle(color=ONE, opacity=1).encode(*axes, tooltip=tips)
        return base.mark_line(color=ONE).encode(*axes) + points.add_params(near())

    return body(declared("Expected scores", Table("Submissions", columns), drawn, 48, also))


def _levels(least: float, most: float) -> list[float]:
    """Losses with a tick: powers of ten, and where these are few, also 2 and 5 times as much."""
    powers = [10.0**power for power in range(floor(log10(least)), ceil(log10(most)) + 1)]
    factors = (1,) if most / least > 50 else (1, 2, 5)
    return [power * factor for power in powers for factor in factors if least <= power * factor <= most]
