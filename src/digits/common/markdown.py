"""Tables in GitHub-flavoured Markdown."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], align: str = "lr") -> str:
    """A table, without a line end after its last row.

    columns: titles. rows: of one cell per column. align: a letter per column, l (left, for text) or r (right, for
    numbers); the last letter also holds for all columns after it. Pipes are escaped; GitHub unescapes them even in code
    spans (GitHub Flavored Markdown, section 4.10). Line ends become spaces. Raises ValueError for a row with another
    number of cells.
    """
    rules = ["---:" if letter == "r" else "---" for letter in align.ljust(len(columns), align[-1])]
    lines = [_line(columns), f"| {' | '.join(rules)} |"]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a table of {len(columns)} columns has a row of {len(row)} cells: {list(row)}")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.splitlines()).replace("|", "\\|")
