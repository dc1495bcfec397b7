"""What a section of the page consists of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from digits.report.charts import Chart


@dataclass(frozen=True)
class Picture:
    """title: what it shows. text: the same for who cannot see it. body: SVG, or an <img>."""

    title: str
    text: str
    body: Markup


@dataclass(frozen=True)
class Table:
    """caption: what it is. Cells are numbers, to be sorted as such and shown by `styles`, or text."""

    caption: str
    columns: tuple[str, ...]
    styles: tuple[str, ...]  # of format(), "" for text
    rows: tuple[tuple[Any, ...], ...]

    def shown(self, row: Sequence[Any]) -> list[tuple[str, str]]:
        """What is sorted by, and what is seen, cell by cell."""
        return [
            ("" if cell is None else str(cell), "" if cell is None else format(cell, style) if style else str(cell))
            for cell, style in zip(row, self.styles, strict=True)
        ]


@dataclass
class Section:
    """id: to point to. missing: why there is nothing to show, and what to type."""

    id: str
    title: str
    missing: str = ""
    sentences: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    code: str = ""

    def draw(self, chart: Chart | None) -> None:
        """Add a chart, where there is one."""
        if chart:
            self.pictures.append(Picture(chart.title, chart.text, Markup(chart.svg)))

    def show(self, title: str, text: str, source: str) -> None:
        """Add an image; source: where it is, or what it consists of."""
        body = Markup('<img src="{}" alt="{}">').format(source, text)
        self.pictures.append(Picture(title, "", body))
