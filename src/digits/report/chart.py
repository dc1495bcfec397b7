"""Declares charts in Vega-Lite, which the page's script draws in the page's own colours, each with its numbers."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from vl_convert import javascript_bundle

from digits.report.layout import Figure, Table

ONE, TWO, GREY = "var(--one)", "var(--two)", "var(--muted)"  # colours of the page, light and dark
_LONG_NAME = 3  # characters; longer names of classes stand beside their bars, where there is room
_BAR, _HEIGHT = 20, 160  # pixels: a bar's width with its gap, the height of upright bars

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart


@cache
def library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return Markup(javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def rows_of(table: Table, also: Mapping[str, Sequence[Any]] | None = None) -> tuple[alt.Chart, list[alt.Tooltip]]:
    """What a chart of a table begins with, its columns and `also` as fields, and what a pointer is told of a row."""
    fields = {name: cells for name, (_, cells) in table.columns.items()} | dict(also or {})
    rows = [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
    styles = {name: style.replace("g", "~g") for name, (style, _) in table.columns.items()}
    # without a format, Vega-Lite would say "undefined" for text where the nearest mark is meant
    tips = [alt.Tooltip(f"{name}:{'Q' if style else 'N'}", format=style) for name, style in styles.items()]
    return alt.Chart(alt.InlineData(values=rows)), tips


def declared(title: str, drawn: Drawn, height: int) -> dict[str, Any]:
    """The chart in Vega-Lite, without its width; height: of what is drawn without its axes, in pixels."""
    made: dict[str, Any] = drawn.properties(height=height, description=title).to_dict()
    return made


def chart(title: str, drawn: Drawn, height: int, numbers: Table | None = None) -> Figure:
    """What the page's script draws; see `declared`. numbers: those of the chart, unless another table has them."""
    holder = '<div class="chart" style="min-height: {}px"><script type="application/json">{}</script></div>'
    content = htmlsafe_json_dumps(declared(title, drawn, height), separators=(",", ":"))
    return Figure(title, Markup(holder).format(height, content), numbers)


def near() -> alt.Parameter:
    """The mark that is nearest to the pointer, from anywhere in the chart: a finger hits no dot."""
    return alt.selection_point(name="near", on="pointerover", nearest=True, clear="pointerout")


def by_class(title: str, names: Sequence[str], values: Sequence[float], of: str, style: str) -> Figure:
    """A bar for each class. of: what the values are."""
    table = Table(title, {"class": ("", names), of: (style, values)})
    base, tips = rows_of(table)
    lying = max(map(len, names)) > _LONG_NAME
    value, name = (alt.X, alt.Y) if lying else (alt.Y, alt.X)
    axes = (value(f"{of}:Q").axis(format="~%" if "%" in style else ",~f"), name("class:N").sort(None))
    drawn = base.mark_bar(color=ONE).encode(*axes, tooltip=tips)
    return chart(title, drawn, _BAR * len(names) if lying else _HEIGHT, table)
