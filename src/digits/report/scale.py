"""Draws scores on the scale that matters, that of errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, NamedTuple

import altair as alt
from markupsafe import Markup

from digits.evaluation.scoring import Metric
from digits.report.chart import ONE, TWO, chart, near, rows_of
from digits.report.layout import Column, Figure, Table

_ROW = 28  # pixels


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

    places = [[max(least, metric.loss(value)) for value in (mark.value, *(mark.interval or ()))] for mark in marks]
    spans = [sorted(interval or [value, value]) for value, *interval in places]
    ends = [(min(each), max(each)) for each in places]
    is_right = [low * high < least * most for low, high in ends]  # so a name has more room on the left
    columns: dict[str, Column] = {
        "score of": ("", [mark.name for mark in marks]),
        "score": (f".{digits}f", [mark.value for mark in marks]),
        "95 % interval": ("", [" to ".join(f"{end:.{digits}f}" for end in mark.interval or ()) for mark in marks]),
    }
    also = {
        "row": range(len(marks)),
        "own": [mark.own for mark in marks],
        "loss": [value for value, *_ in places],
        **dict(zip(("low", "high"), zip(*spans, strict=True), strict=True)),
        "right": is_right,
        "label at": [high if right else low for (low, high), right in zip(ends, is_right, strict=True)],
        "label": [f"{mark.name} {mark.value:.{digits}f}" for mark in marks],
    }
    base, tips = rows_of(table := Table(title, columns), also)
    shown = f"format({'1 - ' * (metric.sign > 0)}datum.value, '.6~g')"
    axis = alt.Axis(values=_levels(least, most), labelExpr=shown, title=metric.title)
    at: dict[str, Any] = {"axis": axis, "scale": alt.Scale(type="log", domain=[1.1 * most, least / 1.2], nice=False)}
    y, span = alt.Y("row:O").axis(None), (alt.X("low:Q", **at), alt.X2("high"))
    band = base.transform_filter("datum.own").mark_rect(color=ONE, opacity=0.12).encode(*span)
    rules = base.mark_rule(color=ONE, strokeWidth=3, opacity=0.6).encode(*span, y)
    dots = base.mark_circle(size=110, opacity=1, fill=_by("own", ONE, TWO)).add_params(near())
    dots = dots.encode(alt.X("loss:Q", **at), y, tooltip=tips)
    side, by, weight = _by("right", "right", "left"), _by("right", -12, 12), _by("own", 700, 400)
    room = alt.ExprRef("abs((datum.right ? 0 : width) - scale('x', datum['label at'])) - 12")
    names = base.mark_text(align=side, dx=by, fontWeight=weight, limit=room)
    names = names.encode(alt.X("label at:Q", **at), y, alt.Text("label:N"))
    return chart(title, alt.layer(band, rules, names, dots), _ROW * len(marks), table)


def _by(field: str, yes: str | int, no: str | int) -> Any:
    """A property of a mark that depends on whether its row has a field."""
    return alt.ExprRef(f"datum.{field} ? {yes!r} : {no!r}")


def sparkline(values: Sequence[float], metric: Metric) -> Markup:
    """Scores in the order in which they were made, on the same scale, a line without axes."""
    columns: dict[str, Column] = {"submission": ("d", range(1, len(values) + 1)), "expected score": (".4f", values)}
    losses = [max(metric.loss(value), 1e-6) for value in values]
    base, tips = rows_of(Table("Expected scores", columns), {"loss": losses})
    x = alt.X("submission:Q").scale(zero=False, nice=False, padding=6).axis(None)
    y = alt.Y("loss:Q").scale(type="log", reverse=True, nice=False, padding=6).axis(None)
    dots = base.mark_circle(color=ONE, opacity=1).encode(x, y, tooltip=tips).add_params(near())
    return chart("Expected scores", alt.layer(base.mark_line(color=ONE).encode(x, y), dots), 48).body


def _levels(least: float, most: float) -> list[float]:
    """Losses with a tick: powers of ten, and where these are few, also 2 and 5 times as much."""
    powers = [10.0**power for power in range(floor(log10(least)), ceil(log10(most)) + 1)]
    factors = (1,) if most / least > 50 else (1, 2, 5)
    return [power * factor for power in powers for factor in factors if least <= power * factor <= most]
