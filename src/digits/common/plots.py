"""Pictures in files: drawn in colours that all readers tell apart, each kept with what it shows in words."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from digits.common.files import read_json, write_json

# Okabe and Ito's colours, which colour-blind readers tell apart (M. Okabe and K. Ito, 2008, Color universal design)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_TITLES = "titles.json"
_DPI = 110  # dots per inch
_LETTERS = 10  # of a title, per inch


@dataclass(frozen=True)
class Picture:
    """A PNG, and what it shows in words."""

    title: str
    path: Path


@contextmanager
def drawing(style: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Within it figures are drawn into files, also where there is no screen; they are closed at its end.

    A seventh curve and those that follow are dashed. style: of Matplotlib's parameters.
    """
    plt.switch_backend("agg")
    curves = cycler(linestyle=["-", "--"]) * cycler(color=COLOURS)
    parameters: dict[Any, Any] = {"axes.prop_cycle": curves, **(style or {})}
    with plt.rc_context(parameters):
        try:
            yield
        finally:
            plt.close("all")


def as_png(figure: Figure, dpi: int) -> bytes:
    """A figure as the content of a PNG file."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi)
    return written.getvalue()


def write_pictures(folder: Path, of: str, drawn: Mapping[str, Callable[[], str | None]]) -> dict[str, Picture]:
    """Draw the pictures of which there is something to show, in place of those that the folder has; returns them.

    of: what they are pictures of, for `read_pictures`. drawn: by the picture's name, what draws it as pyplot's current
    figure and says what it shows; None: there is nothing to draw.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    written = {}
    for name, draw in drawn.items():
        with drawing():
            if title := draw():
                figure = plt.gcf()
                figure.suptitle(fill(title, int(_LETTERS * figure.get_figwidth())))
                figure.tight_layout()
                figure.savefig(folder / f"{name}.png", dpi=_DPI)
                written[name] = Picture(title, folder / f"{name}.png")
    write_json(folder / _TITLES, {"of": of, "titles": {name: picture.title for name, picture in written.items()}})
    return written


def read_pictures(folder: Path, of: str) -> dict[str, Picture]:
    """The pictures that were written last, by name; {} where they are of something else."""
    known = read_json(folder / _TITLES)
    if not known or known.get("of") != of:
        return {}
    return {name: Picture(title, folder / f"{name}.png") for name, title in known["titles"].items()}
