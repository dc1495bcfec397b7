"""What a section of the page consists of: sentences, tables, figures, commands."""

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from digits.common.plots import Picture

Column = tuple[str, Sequence[Any]]  # style of `format` for numbers, or "" for text; cells


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted and filtered in the browser.

    columns: by title. None is shown as nothing.
    """

    caption: str
    columns: Mapping[str, Column]

    @property
    def rows(self) -> list[tuple[tuple[str, str, bool], ...]]:
        """For each cell, the value that it is sorted by, the text that is shown, and whether it is a number."""

        def shown(cell: Any, style: str) -> tuple[str, str, bool]:
            return ("", "", bool(style)) if cell is None else (str(cell), format(cell, style), bool(style))

        columns = ([shown(cell, style) for cell in cells] for style, cells in self.columns.values())
        return [*zip(*columns, strict=True)]


@dataclass(frozen=True)
class Figure:
    """A chart or image. title: what it shows. body: HTML. numbers: those of a chart, if no other table has them."""

    title: str
    body: Markup
    numbers: Table | None = None


@dataclass(frozen=True)
class Card:
    """One fact in large letters, and lines that explain it; Markup may stand in all."""

    title: str
    value: str
    lines: Sequence[str]


@dataclass
class Section:
    """A question and its answer.

    id: its anchor, and its name in the index. missing: why there is no answer, what to type. code: commands. cards,
    lead: facts and figures that come before the rest.
    """

    id: str
    title: str
    missing: str = ""
    sentences: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    code: str = ""
    cards: list[Card] = field(default_factory=list)
    lead: list[Figure] = field(default_factory=list)

    def add_picture(self, picture: Picture) -> None:
        """Add a PNG that another command has drawn, with its title."""
        with suppress(FileNotFoundError):  # a command is drawing others
            png = base64.b64encode(picture.path.read_bytes()).decode()
            body = Markup('<img src="data:image/png;base64,{}" alt="{}">').format(png, picture.title)
            self.figures.append(Figure(picture.title, body))

    def add_gallery(self, title: str, images: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """Add small images side by side, each a PNG with lines of text below it, the first of which names it."""
        cells = [
            Markup('<li><img src="data:image/png;base64,{}" alt="{}">{}</li>').format(
                base64.b64encode(png).decode(), lines[0], Markup("").join(map(Markup("<span>{}</span>").format, lines))
            )
            for png, lines in images
        ]
        self.figures.append(Figure(title, Markup('<ul class="gallery">{}</ul>').format(Markup("").join(cells))))
