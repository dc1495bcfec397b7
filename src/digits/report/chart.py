"""Draws charts as SVG in the page's own colours, each with a title that says what it shows, and images as PNG."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import figure as matplotlib_figure
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from digits.common.plots import as_png, draw_images, drawing
from digits.report.layout import Figure

GREY = "#888888"  # legible on a light and on a dark page
_INK = "#010203"  # the page puts its own text colour in its place
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "digits",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": GREY,
    "grid.alpha": 0.35,
    "legend.framealpha": 0.0,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_LONG_NAME = 3  # characters; longer class names are rotated


@contextmanager
def subplots(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[tuple[matplotlib_figure.Figure, Any]]:
    """A figure of this size in inches, and its axes, (rows, columns)."""
    with drawing(_STYLE):
        yield plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def as_chart(figure: matplotlib_figure.Figure, name: str, title: str, text: str) -> Figure:
    """The figure as SVG; name: unique on the page, because the ids inside begin with it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|xlink:href="#)', rf"\1{name}-", svg)
    svg = svg.replace(_INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    return Figure(title, text, Markup(svg))


def image_grid(images: NDArray[np.uint8], titles: Sequence[str], columns: int) -> bytes:
    """Images, (n, height, width, channels), each under its title, as PNG."""
    with drawing():
        figure = plt.figure(figsize=(0.95 * columns, 1.25 * -(-len(images) // columns)), layout="constrained")
        draw_images(figure, images, titles, columns)
        return as_png(figure, dpi=100)


def name_classes(axes: Axes, names: list[str]) -> None:
    """Give the horizontal axis one tick per class."""
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > _LONG_NAME else 0)


def plain_log(axis: Axis) -> None:
    """Give a logarithmic axis ticks at 1, 2 and 5 times each power of ten, written without exponents."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
