"""Parses lines of a competition's CSV into numbers and kept text, or says what is wrong, with row and column.

The cells of the pixels go through pandas' C parser: as bytes if they have only digits, else as float32. A chunk that it
refuses is read cell by cell, only to say what is wrong with it.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.data.csv_header import Columns

_DIGITS = b"0123456789,\n"
_DECIMALS = b"0123456789.,+-eE \n"
_BETWEEN = re.compile(rb" *, *| +")  # the numbers in a cell that holds all of them
_NUMBER = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *")
_QUOTED_NUMBER = re.compile(rb'(?<![^,\n])"([\d.]+)"(?![^,\n])')

Values = NDArray[np.uint8] | NDArray[np.float32]


@dataclass
class Faults:
    """What is wrong with a file or a chunk: for each cause how often, and where first."""

    causes: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, cause: str, place: str, detail: str = "") -> None:
        """Count a fault. cause: as in "cells are blank". place: row, and column. detail: what stands there."""
        count, first = self.causes.get(cause, (0, f"{place}{f': {detail}' if detail else ''}"))
        self.causes[cause] = count + 1, first

    def extend(self, later: "Faults") -> None:
        """Add the faults of a later chunk."""
        for cause, (count, first) in later.causes.items():
            before, earlier = self.causes.get(cause, (0, first))
            self.causes[cause] = before + count, earlier

    def raise_if_any(self, file: str) -> None:
        """If there are faults, raise UserError with a line for each cause."""
        if self.causes:
            lines = [
                f"{file}: {count:,} {cause}, the first in {first}" for cause, (count, first) in self.causes.items()
            ]
            remedy = f"{file}: nothing was changed; correct this in the file, or download it again"
            raise UserError("\n".join([*lines, remedy]))


@dataclass(frozen=True)
class Rows:
    """Valid rows of a chunk.

    values: (rows, values) of the images. texts: for each kept column its cells, utf-8, (rows,). unfinished: whether the
    last row had no line end. faults: of the other rows.
    """

    values: Values
    texts: list[list[bytes]]
    unfinished: bool
    faults: Faults


def parse_chunk(chunk: bytes, columns: Columns, first_row: int) -> tuple[int, Rows]:
    """The chunk's size in bytes, and its rows. chunk: whole lines. first_row: row number of the first, for messages."""
    size, unfinished, faults = len(chunk), not chunk.endswith(b"\n"), Faults()
    if unfinished:
        chunk += b"\n"
    if b"\r" in chunk:
        chunk = chunk.replace(b"\r\n", b"\n")
    if columns.separator != b",":
        chunk = chunk.replace(columns.separator, b",")
    if columns.one_cell:
        chunk = _BETWEEN.sub(b",", chunk.translate(None, b'"[]'))
    elif b'"' in chunk:
        chunk = _QUOTED_NUMBER.sub(rb"\1", chunk)
    parsed = _parse_contiguous(chunk, columns)
    if parsed is None and b'"' in chunk:
        parsed = _parse_quoted(chunk, columns)
    if parsed is None:
        _find_faults(chunk, columns, first_row, unfinished, faults)
        parsed = np.empty((0, columns.values), np.uint8), [[] for _ in columns.kept]
    return size, Rows(*parsed, unfinished, faults)


def _positions(columns: Columns) -> tuple[list[int], list[int]]:
    """Positions of the pixels and of the kept columns in a row whose image has a cell for each value."""
    if not columns.one_cell:
        return columns.pixels, columns.kept
    first, more = columns.pixels[0], columns.values - 1
    return list(range(first, first + columns.values)), [each + more * (each > first) for each in columns.kept]


def _parse_contiguous(chunk: bytes, columns: Columns) -> tuple[Values, list[list[bytes]]] | None:
    """Values and kept cells of a chunk; None if a cell or row may be invalid, or if a quoted cell has commas."""
    pixels, kept = _positions(columns)
    first, last, width = min(pixels), max(pixels) + 1, columns.width
    scattered = last - first > len(pixels) or any(first <= each < last for each in kept)
    if scattered or not chunk.translate(None, _DIGITS):
        return _parse_plain(chunk, columns)
    lines = chunk.split(b"\n")
    lines.pop()
    texts: dict[int, list[bytes]] = {}
    if first:
        cells = [line.split(b",", first) for line in lines]
        if any(len(each) != first + 1 for each in cells):
            return None
        texts |= {each: _unquoted(row[each] for row in cells) for each in kept if each < first}
        lines = [row[first] for row in cells]
    if last < width:
        cells = [line.rsplit(b",", width - last) for line in lines]
        if any(len(each) != width - last + 1 for each in cells):
            return None
        texts |= {each: _unquoted(row[each - last + 1] for row in cells) for each in kept if each >= last}
        lines = [row[0] for row in cells]
    block = chunk if first == 0 and last == width else b"\n".join([*lines, b""])
    if block.count(b",") != len(lines) * (last - first - 1) or block.translate(None, _DECIMALS):
        return None
    if any(b'"' in cell for column in texts.values() for cell in column):
        return None
    order = [each - first for each in pixels]
    values = _numbers(block, last - first, len(lines), None if order == sorted(order) else order)
    return None if values is None else (values, [texts[each] for each in kept])


def _unquoted(cells: Iterable[bytes]) -> list[bytes]:
    return [cell[1:-1] if cell.startswith(b'"') and cell.endswith(b'"') and len(cell) > 1 else cell for cell in cells]


def _parse_plain(chunk: bytes, columns: Columns) -> tuple[Values, list[list[bytes]]] | None:
    """The same without quotes: the fastest way for digits, and the only one for columns among those of the pixels."""
    pixels, kept = _positions(columns)
    rows = chunk.count(b"\n")
    # pandas drops the cells that a row has too many, and refuses rows with too few
    if b'"' in chunk or chunk.count(b",") != rows * (columns.width - 1):
        return None
    values = _numbers(chunk, columns.width, rows, pixels)
    lines = chunk.split(b"\n")[:-1] if kept and values is not None else []
    return None if values is None else (values, [_cells(lines, each, columns.width) for each in kept])


def _cells(lines: list[bytes], position: int, width: int) -> list[bytes]:
    """The cells of a column, found from the nearer end of each line."""
    if position < width / 2:
        return [line.split(b",", position + 1)[position] for line in lines]
    return [line.rsplit(b",", width - position)[1] for line in lines]


def _parse_quoted(chunk: bytes, columns: Columns) -> tuple[Values, list[list[bytes]]] | None:
    """The same for a chunk with quoted cells, one by one; ten times as slow."""
    pixels, kept = _positions(columns)
    try:
        rows = list(csv.reader(io.StringIO(chunk.decode("utf-8", "surrogateescape")), strict=True))
        numbers = [[row[each] for each in pixels] for row in rows if len(row) == columns.width]
        values = np.array(numbers, dtype=np.float32)
    except (ValueError, csv.Error):
        return None
    if len(values) < len(rows) or not np.isfinite(values).all():
        return None
    return values, [[row[each].encode("utf-8", "surrogateescape") for row in rows] for each in kept]


def _numbers(block: bytes, width: int, rows: int, used: list[int] | None) -> Values | None:
    """Numbers of `block`, (rows, used): uint8 if all of them are, else float32; None if any is no finite number.

    used: positions of the columns in the wanted order; None: all of them as they are.
    """
    whole = used is not None or not block.translate(None, _DIGITS)
    for kind in (np.uint8, np.float32) if whole else (np.float32,):
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # a number that is too large becomes infinite
                frame = pd.read_csv(io.BytesIO(block), dtype=kind, usecols=used, **_options(width))
        except (ValueError, OverflowError, pd.errors.ParserError):
            continue
        # pandas keeps the file's order of columns
        values: Values = (frame if used is None or used == sorted(used) else frame[used]).to_numpy()
        if len(values) == rows and (kind is np.uint8 or np.isfinite(values).all()):
            return cast(Values, np.ascontiguousarray(values))
    return None


def _options(width: int) -> dict[str, Any]:
    return {
        "header": None,
        "names": list(range(width)),
        "index_col": False,
        "skip_blank_lines": False,
        "na_filter": False,
    }


def _find_faults(chunk: bytes, columns: Columns, first_row: int, unfinished: bool, faults: Faults) -> None:
    """Add what is wrong with the rows of a chunk that pandas has refused."""
    pixels, _ = _positions(columns)
    single = not columns.one_cell
    *lines, _ = chunk.split(b"\n")
    for row, line in enumerate(lines, start=first_row):
        cells = line.split(b",")
        wrong = len(cells) != columns.width
        if not line.strip():
            faults.add("rows are blank", f"row {row:,}")
        elif wrong:
            faults.add(f"rows do not have {columns.width:,} cells", f"row {row:,}", f"it has {len(cells):,}")
        for each in [] if wrong else pixels:
            if _NUMBER.fullmatch(cells[each]):
                continue
            place = f"row {row:,}, column {columns.names[each] if single else columns.names[columns.pixels[0]]}"
            if cells[each].strip():
                text = cells[each] if len(cells[each]) <= 20 else cells[each][:20] + b"..."
                faults.add("cells are not numbers", place, repr(text.decode("utf-8", "backslashreplace")))
            else:
                faults.add("cells are blank", place)
        if unfinished and wrong and row == first_row + len(lines) - 1:
            faults.add("line ends in the middle: the file is incomplete", f"row {row:,}")
    if not faults.causes:
        faults.add(
            "chunk of rows cannot be read: too large a number, or a quote without an end", f"row {first_row:,} on"
        )
