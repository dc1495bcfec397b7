"""Declares charts in Vega-Lite, which the page's script draws in the page's own colours, each with its numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import altair as alt
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from vl_convert import javascript_bundle

from digits.report.layout import Figure, Table

ONE, TWO, GREY = "var(--one)", "var(--two)", "var(--muted)"  # colours of the page, light and dark
CLASSES = 3  # characters; longer class names stand beside the bars, where there is room
_ROW = 20  # pixels of a bar

Fields = Mapping[str, Sequence[Any]]  # by name, a value per row
_NO_FIELDS: Fields = MappingProxyType({})
Tips = list[alt.Tooltip]
Drawn = alt.Chart | alt.LayerChart


@cache
def library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return Markup(javascript_bundle())


def chart(
    title: str,
    table: Table,
    draw: Callable[[alt.Chart, Tips], Drawn],
    height: int,
    also: Fields = _NO_FIELDS,
    listed: bool = True,
) -> Figure:
    """A chart of a table's rows, whose columns are its fields; draw is also given what a pointer is told of a row.

    height: of what is drawn without its axes, in pixels. also: more fields. listed: whether the table stands below the
    chart, which it need not if another one has the same.
    """
    return Figure(title, body(declared(title, table, draw, height, also)), table if listed else None)


def declared(
    title: str, table: Table, draw: Callable[[alt.Chart, Tips], Drawn], height: int, also: Fields = _NO_FIELDS
) -> dict[str, Any]:
    """The chart in Vega-Lite, without its width; see `chart`."""
    fields = {**{name: cells for name, (_, cells) in table.columns.items()}, **also}
    plain = [[getattr(cell, "item", lambda cell=cell: cell)() for cell in cells] for cells in fields.values()]
    rows = [dict(zip(fields, row, strict=True)) for row in zip(*plain, strict=True)]
    kinds = {name: style.replace("g", "~g") for name, (style, _) in table.columns.items()}
    tips = [
        alt.Tooltip(name, type="quantitative", format=kind) if kind else alt.Tooltip(name, type="nominal")
        for name, kind in kinds.items()
    ]
    drawn = draw(alt.Chart(alt.InlineData(values=rows)), tips).properties(height=height, description=title)
    made: dict[str, Any] = drawn.to_dict()
    return made


def body(declared: dict[str, Any]) -> Markup:
    """What the page's script replaces by the drawing; the space is kept until then."""
    holder = '<div class="chart" style="min-height: {}px"><script type="application/json">{}</script></div>'
    return Markup(holder).format(declared["height"], htmlsafe_json_dumps(declared, separators=(",", ":")))


def near() -> alt.Parameter:
    """The mark that is nearest to the pointer, from anywhere in the chart: a finger hits no dot."""
    return alt.selection_point(name="near", on="pointerover", nearest=True, clear="pointerout")


def by_class(title: str, names: Sequence[str], values: Sequence[float], of: str, style: str) -> Figure:
    """A bar for each class. of: what the values are."""

    def bars(base: alt.Chart, tips: Tips) -> Drawn:
        lengthwise = max(map(len, names)) > CLASSES
        value, name = alt.X if lengthwise else alt.Y, alt.Y if lengthwise else alt.X
        axes = [
            value(of, type="quantitative").axis(format="~%" if "%" in style else ",~f"),
            name("class", type="nominal").sort(None),
        ]
        return base.mark_bar(color=ONE).encode(*axes, tooltip=tips)

    height = _ROW * len(names) if max(map(len, names)) > CLASSES else 160
    return chart(title, Table(title, {"class": ("", names), of: (style, values)}), bars, height)
