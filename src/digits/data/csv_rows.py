"""Parses lines of a competition's CSV into uint8 images and int64 labels or ids, or faults with row and column.

A chunk of lines goes through pandas' C parser if it has only digits, commas and line ends, and the right number of
cells. Any other chunk is read cell by cell by a slow parser, which accepts equivalent cells (quoted numbers) and
reports what is wrong with all others.
"""

import io
import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.data.csv_header import Columns

FAULTS_SHOWN = 20

_BYTES = {str(value).encode(): value for value in range(256)}
_MAX_DIGITS = 19  # of the largest int64; int() refuses numbers with thousands of digits
_NUMBER = re.compile(rb"\d+")
_QUOTED_NUMBER = re.compile(rb'(?<![^,\n])"(\d+)"(?![^,\n])')


@dataclass
class Faults:
    """Faults of a file or a chunk: their count, and messages for the first FAULTS_SHOWN."""

    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, row: int, message: str) -> None:
        """Count a fault. row: as a spreadsheet counts."""
        self.count += 1
        if len(self.lines) < FAULTS_SHOWN:
            self.lines.append(f"row {row:,}: {message}")

    def extend(self, later: "Faults") -> None:
        """Add the faults of a later chunk."""
        self.count += later.count
        self.lines += later.lines[: FAULTS_SHOWN - len(self.lines)]

    def raise_if_any(self, file: str) -> None:
        """If there are faults, raise UserError with the first ones and the number of the others."""
        if not self.count:
            return
        rest = self.count - len(self.lines)
        shown = [f"{file}, {line}" for line in self.lines]
        more = [f"{file}: and {rest:,} more faults"] if rest else []
        remedy = f"{file}: nothing was changed; correct these cells, or download the file again"
        raise UserError("\n".join([*shown, *more, remedy]))


@dataclass(frozen=True)
class Rows:
    """Valid rows of a chunk: images uint8 (rows, pixels), extra int64 (rows,); and the faults of the others."""

    images: NDArray[np.uint8]
    extra: NDArray[np.int64]
    faults: Faults


def parse_chunk(chunk: bytes, columns: Columns, first_row: int) -> tuple[int, Rows]:
    """The chunk's size in bytes, and its rows. chunk: whole lines. first_row: row number of the first, for messages."""
    size, faults = len(chunk), Faults()
    if b"\r" in chunk:
        chunk = chunk.replace(b"\r\n", b"\n")
    if b'"' in chunk:
        chunk = _QUOTED_NUMBER.sub(rb"\1", chunk)
    values = _parse_fast(chunk, columns)
    if values is None:
        values = _parse_slow(chunk, columns, first_row, faults)
    in_order = columns.pixels == list(range(columns.pixels[0], columns.pixels[0] + len(columns.pixels)))
    # a slice gives a view; a list of positions would make a slow copy
    pixels = slice(columns.pixels[0], columns.pixels[-1] + 1) if in_order else columns.pixels
    extra = values[:, columns.extra] if columns.extra is not None else np.zeros(len(values))
    images = values[:, pixels].astype(np.uint8, order="C")
    return size, Rows(images, extra.astype(np.int64), faults)


def _parse_fast(chunk: bytes, columns: Columns) -> NDArray[np.integer] | None:
    """All cells of a chunk, (rows, columns), parsed by pandas; None if a row or cell may be invalid."""
    width, rows = len(columns.names), chunk.count(b"\n")
    if chunk.translate(None, b"0123456789,\n") or chunk.count(b",") != rows * (width - 1) or chunk[-1:] != b"\n":
        return None
    try:
        frame = pd.read_csv(
            io.BytesIO(chunk),
            header=None,
            names=list(range(width)),
            # one dtype for all columns is one block of memory; with large ids the block is briefly eight times as large
            dtype="int64" if columns.limits.max() > 255 else "uint8",
            index_col=False,
            skip_blank_lines=False,
            na_filter=False,
        )
    except (ValueError, OverflowError, pd.errors.ParserError):
        return None
    values: NDArray[np.integer] = frame.to_numpy()
    within = (values.max(axis=0, initial=0) <= columns.limits).all()
    return values if within and len(values) == rows else None


def _parse_slow(chunk: bytes, columns: Columns, first_row: int, faults: Faults) -> NDArray[np.int64]:
    """Cells of the valid rows, int64 (rows, columns), one by one; every other row is added to `faults`."""
    valid = []
    limits = columns.limits.tolist()
    *lines, unfinished = chunk.split(b"\n")
    for row, line in enumerate([*lines, *([unfinished] if unfinished else [])], start=first_row):
        cells = line.split(b",")
        if len(cells) != len(columns.names):
            fault = "is blank" if not line.strip() else f"has {len(cells):,} cells instead of {len(columns.names):,}"
            faults.add(row, f"the row {fault}")
            continue
        values = list(map(_BYTES.get, cells))  # fast, and enough for most rows
        if None not in values and (columns.extra is None or values[columns.extra] <= limits[columns.extra]):
            valid.append(values)
            continue
        reasons = [_cell_fault(cell, limit) for cell, limit in zip(cells, limits, strict=True)]
        for column, reason in zip(columns.names, reasons, strict=True):
            if reason:
                faults.add(row, f"column {column}: {reason}")
        if not any(reasons):
            valid.append([int(cell) for cell in cells])
    if unfinished:
        row = first_row + len(lines)
        faults.add(row, "the file ends in the middle of a line: it is incomplete, or its last line end was removed")
    return np.array(valid, dtype=np.int64).reshape(len(valid), len(columns.names))


def _cell_fault(cell: bytes, limit: int) -> str:
    """What is wrong with a cell; empty if nothing is."""
    if _NUMBER.fullmatch(cell) and len(cell.lstrip(b"0")) <= _MAX_DIGITS and int(cell) <= limit:
        return ""
    if not cell.strip():
        return "the cell is blank"
    text = cell if len(cell) <= 20 else cell[:20] + b"..."
    return f"{text.decode('utf-8', 'backslashreplace')!r} is not a whole number from 0 to {limit:,}"
