"""Finds the columns of a competition's CSV in its header, or says what differs from the params."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from typing import IO, NamedTuple

from digits.common.errors import MisfitError, UserError
from digits.config import Competition

LONGEST_HEADER = 2**23  # bytes; the column names of 512x512 pixels take 3 MB

_SEPARATORS = ";\t| "  # understood where a file has no commas
_COLUMN = "column"  # and its position: the name of a column of a file without a header
_SHOWN = 5  # columns named in a message
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE]-?\d+)?")


class Header(NamedTuple):
    """Names of a file's columns, whether its first line has them, and what separates the cells."""

    names: list[str]
    named: bool
    separator: str


@dataclass(frozen=True)
class Columns:
    """Positions of a file's columns.

    names: of all columns, in the file's order. separator: of the cells. pixels: position of each value of an image, in
    the order of the params; a single one if one cell holds all of them. kept: positions of the columns whose text is
    kept (labels, ids). values: number of values of an image.
    """

    names: list[str]
    separator: bytes
    pixels: list[int]
    kept: list[int]
    values: int

    @property
    def one_cell(self) -> bool:
        """Whether one cell holds all values of an image."""
        return len(self.pixels) < self.values

    @property
    def width(self) -> int:
        """Number of cells of a row, each value of an image in its own."""
        return len(self.names) - len(self.pixels) + self.values


def read_header(file: IO[bytes], name: str) -> Header:
    """The header of a file; leaves `file` at the first row.

    A first line of numbers, some of which occur twice, is a row, because names differ; then the columns are called
    column0, column1 and so on. name: of the file, for messages. Raises UserError if the file is no CSV.
    """
    line = file.readline(LONGEST_HEADER)
    if not line:
        raise UserError(f"{name}: the file is empty; download it again from the competition's page")
    if kind := what_it_is(line):
        raise UserError(f"{name}: the file is {kind}")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}, row 1: byte {error.start + 1} is not UTF-8; save it again as `CSV UTF-8`") from None
    separator = next((each for each in _SEPARATORS if each in text and "," not in text), ",")
    try:
        cells = [cell.strip() for cell in next(csv.reader([text], delimiter=separator))]
    except csv.Error as error:
        raise UserError(f"{name}, row 1: {error}; save the file again as `CSV UTF-8`") from None
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    if len(numbers) > len(cells) / 2 and len(set(numbers)) < len(numbers):
        file.seek(0)
        return Header([f"{_COLUMN}{position}" for position in range(len(cells))], False, separator)
    if not line.endswith(b"\n"):
        raise UserError(f"{name}: the file ends in its header: it is incomplete or has no rows; download it again")
    return Header(cells, True, separator)


def what_it_is(head: bytes) -> str:
    """What a file is by its first bytes, if it is no table; otherwise empty."""
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "a web page, not a CSV; sign in to Kaggle and download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the data itself; type `git lfs pull` where it comes from"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        return "an archive, not a CSV; unpack it first"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        return "UTF-16 or binary, not UTF-8 text; save it again as `CSV UTF-8`"
    return ""


def match_columns(
    header: Header, name: str, competition: Competition, kept: list[str], known: list[str]
) -> tuple[Columns, tuple[str, ...]]:
    """Match the header with the competition's columns; returns Columns and notices.

    kept: names of the columns whose text is kept. known: names of other columns that are no surprise. Raises
    MisfitError with every fault.
    """
    position = {column: index for index, column in enumerate(header.names)}
    faults = [f"there is no column {column!r}" for column in kept if column not in position]
    pixels = _pixels(header.names, competition, {*kept, *known, *competition.label_columns})
    needed = {*kept, *([] if isinstance(competition.first_pixel, str) else competition.pixel_columns)}
    occurs = Counter(column for column in header.names if column in needed)
    faults += [f"column {column!r} occurs {count} times" for column, count in occurs.items() if count > 1]
    if isinstance(pixels, str):
        faults.append(pixels)
    if isinstance(pixels, str) or faults:
        raise MisfitError("\n".join(f"{name}, row 1: {fault}" for fault in faults))
    used = {*pixels, *(position[column] for column in kept)}
    unused = [column for index, column in enumerate(header.names) if index not in used and column not in known]
    notices = []
    if unused:
        shown = ", ".join(map(repr, unused[:_SHOWN])) + (", ..." if len(unused) > _SHOWN else "")
        notices.append(f"{name}: columns that are not used: {len(unused):,} ({shown})")
    if pixels != sorted(pixels):
        notices.append(f"{name}: pixel columns were not in order and have been put in order")
    kept_at = [position[column] for column in kept]
    columns = Columns(header.names, header.separator.encode(), pixels, kept_at, competition.pixels)
    return columns, tuple(notices)


def _pixels(header: list[str], competition: Competition, others: set[str]) -> list[int] | str:
    """Positions of the pixels' columns, or what is wrong with them. others: names of columns that are no pixels."""
    position = {column: index for index, column in enumerate(header)}
    if header == [f"{_COLUMN}{index}" for index in range(competition.pixels)]:
        return list(range(competition.pixels))  # a file without a header and without labels
    if isinstance(competition.first_pixel, str):
        first = position.get(competition.first_pixel)
        if first is None:
            return f"there is no column {competition.first_pixel!r}, with which the pixels should begin"
        # with fewer columns one cell holds all values, or the rows will say how many there are
        return list(range(first, first + competition.pixels)) if len(header) - first >= competition.pixels else [first]
    wanted = competition.pixel_columns
    missing = [column for column in wanted if column not in position]
    pattern = re.compile(re.escape(competition.pixel_prefix) + r"\d+")
    count = sum(bool(pattern.fullmatch(column)) for column in header if column not in others)
    if count > competition.pixels:
        shape = "x".join(map(str, (*competition.image_shape, *[competition.channels] * (competition.channels > 1))))
        return f"there are {count:,} pixel columns, but images of {shape} need {competition.pixels:,}"
    if missing:
        return f"{len(missing):,} of the {len(wanted):,} pixel columns are missing, the first is {missing[0]!r}"
    return [position[column] for column in wanted]
