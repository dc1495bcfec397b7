"""Figures as PNG files with titles, in colours that all readers can tell apart."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imsave
from numpy.typing import NDArray

from digits.common.files import write_atomic
from digits.common.sealed import read_json, write_json

# Okabe and Ito's colours, which colour-blind readers tell apart (M. Okabe and K. Ito, 2008, Color universal design)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TITLES = "titles.json"
_DPI = 110  # dots per inch
_SHEET = 8  # columns of a contact sheet
_CELL = 1.2  # widths of an image from one to the next in a grid
_TITLE, _LINE, _GAP = 7, 10, 6  # points of an image's title, from one of its lines to the next, and above it
_LETTERS = 10  # characters of a title per inch of the figure's width


@dataclass(frozen=True)
class Picture:
    """A PNG file, and a title that says what it shows."""

    title: str
    path: Path


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with pyplot, without a screen; all figures are closed at the end of the block.

    The seventh curve and those after it are dashed.
    """
    plt.switch_backend("agg")
    curves = cycler(linestyle=["-", "--"]) * cycler(color=COLOURS)
    # a name of a class may hold two dollar signs, and is no formula
    parameters: dict[Any, Any] = {"axes.prop_cycle": curves, "text.parse_math": False}
    with plt.rc_context(parameters), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # names of classes may be in any script
        try:
            yield
        finally:
            plt.close("all")


def draw_images(figure: Figure | SubFigure, images: NDArray[np.uint8], titles: Sequence[str], columns: int) -> None:
    """A grid of images, each under its title; images: (n, height, width, channels), as `draw_image` takes them.

    All are in one pair of axes: Matplotlib takes 0.06 s for each pair.
    """
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_anchor("N")
    point = columns * _CELL / (figure.bbox.width / figure.dpi) / 72  # in widths of an image
    lines = max((title.count("\n") + 1 for title in titles), default=1)
    above, height = (lines * _LINE + _GAP) * point, images.shape[1] / images.shape[2]
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        row, column = divmod(number, columns)
        left, top = column * _CELL, row * (above + height) + above
        draw_image(axes, image, (left, left + 1, top + height, top))
        axes.text(left + 0.5, top - 2 * point, title, fontsize=_TITLE, ha="center", va="bottom")
    rows = max(1, -(-len(images) // columns))
    axes.set(xlim=(0, columns * _CELL), ylim=(rows * (above + height), 0), aspect="equal")


def contact_sheet(images: NDArray[np.uint8], titles: Sequence[str]) -> Figure:
    """Images, (n, height, width, channels), each under its title, as a figure for the caller to show or to save.

    pyplot does not know it: no window opens, and nobody need close it.
    """
    with plt.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(1.35 * _SHEET, 1.6 * max(1, -(-len(images) // _SHEET))), layout="constrained")
        draw_images(figure, images, titles, _SHEET)
    return figure


def draw_image(axes: Axes, image: NDArray[np.uint8], extent: tuple[float, float, float, float] | None = None) -> None:
    """Draw an image, (height, width, channels), 0 to 255. extent: where in the axes: left, right, bottom, top.

    Three channels as RGB, four as RGBA; one dark on light, two as their mean.
    """
    axes.imshow(_shown(image), cmap="gray_r", vmin=0, vmax=255, extent=extent)


def image_png(image: NDArray[np.uint8]) -> bytes:
    """An image, as `draw_image` takes it, as the content of a PNG file with a pixel for each of its pixels."""
    content = io.BytesIO()
    imsave(content, _shown(image), cmap="gray_r", vmin=0, vmax=255, format="png")
    return content.getvalue()


def _shown(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.shape[2] > 2 else image.mean(axis=2).astype(np.uint8)


def as_png(figure: Figure, dpi: int) -> bytes:
    """A figure as the content of a PNG file; dpi: dots per inch."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def write_pictures(folder: Path, source: str, draw: Mapping[str, Callable[[], str | None]]) -> dict[str, Picture]:
    """Replace the folder's PNGs by new ones; returns the new ones by name.

    source: identifies the data that they show, for `read_pictures`. draw: by name, a function that draws on pyplot's
    current figure and returns its title, or None if there is nothing to draw.
    """
    pictures = {}
    for name, draw_one in draw.items():
        with drawing():
            if title := draw_one():
                figure = plt.gcf()
                figure.suptitle(fill(title, int(_LETTERS * figure.get_figwidth())))
                figure.tight_layout()
                write_atomic(folder / f"{name}.png", as_png(figure, _DPI))
                pictures[name] = Picture(title, folder / f"{name}.png")
    titles = {name: picture.title for name, picture in pictures.items()}
    write_json(folder / _TITLES, {"source": source, "titles": titles})
    for old in {*folder.glob("*.png")} - {picture.path for picture in pictures.values()}:
        old.unlink(missing_ok=True)  # titles.json does not list it any more
    return pictures


def read_pictures(folder: Path, source: str) -> dict[str, Picture]:
    """The pictures that were written last, by name; {} if they show other data than `source`."""
    content = read_json(folder / _TITLES)
    if not content or content.get("source") != source:
        return {}
    return {name: Picture(title, folder / f"{name}.png") for name, title in content["titles"].items()}
