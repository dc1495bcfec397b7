"""Parses lines of a competition's CSV into numbers and kept text, or says what is wrong, with row and column.

pandas' C parser reads the pixels, as bytes if it can, else as float32, and the text of the other columns. A chunk that
it refuses is read cell by cell, only to say what is wrong with it.
"""

import io
import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.data.csv_header import Columns

_BETWEEN = re.compile(rb" *, *| +")  # the numbers in a cell that holds all of them
_NUMBER = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *")
# a cell in quotes, which may contain commas; its first letter
_QUOTED = re.compile(rb'(?<![^,\n])"(\w?)[^"]*(?:""[^"]*)*"(?![^,\n])')

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
    parsed = _parse(chunk, columns)
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


def _parse(chunk: bytes, columns: Columns) -> tuple[Values, list[list[bytes]]] | None:
    """Values and kept cells of a chunk; None if a row or a cell of the pixels is invalid.

    The values are uint8 if all of them are whole and at most 255, else float32.
    """
    pixels, kept = _positions(columns)
    plain = _QUOTED.sub(rb"\1", chunk) if b'"' in chunk else chunk
    *lines, _ = plain.split(b"\n")
    # pandas would take "3"3 for 33, fill up short rows, cut long ones, and read a column of True and False as 1 and 0
    if b'\n"' in b"\n" + plain or b',"' in plain or any(line.count(b",") != columns.width - 1 for line in lines):
        return None
    first = lines[0].split(b",")
    if any(first[each][:1].isalpha() for each in pixels):
        return None
    for kind in (np.uint8, np.float32):
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # a number that is too large becomes infinite
                frame = pd.read_csv(
                    io.BytesIO(chunk),
                    header=None,
                    names=list(range(columns.width)),
                    usecols=[*pixels, *kept],
                    dtype=dict.fromkeys(pixels, kind) | dict.fromkeys(kept, object),
                    index_col=False,
                    skip_blank_lines=False,
                    na_filter=False,
                    encoding_errors="surrogateescape",
                )
        except (ValueError, OverflowError, pd.errors.ParserError):
            continue
        values: Values = np.ascontiguousarray(frame[pixels].to_numpy())
        if len(values) == len(lines) and (kind is np.uint8 or np.isfinite(values).all()):
            return values, [[cell.encode("utf-8", "surrogateescape") for cell in frame[each]] for each in kept]
    return None


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
