"""Finds the columns of a competition's CSV in its header, or says what differs from the expected header."""

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition

LONGEST_HEADER = 2**23  # bytes; the column names of 512x512 pixels take 3 MB

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Columns:
    """Positions of a file's columns.

    names: of all columns, in the file's order. pixels: position of each pixel, in the order of
    `Competition.pixel_columns`. extra: position of the label or id, None where the file has neither. limits: int64
    (columns,), the largest value allowed, by position.
    """

    names: list[str]
    pixels: list[int]
    extra: int | None
    limits: NDArray[np.int64]


def read_header(file: BinaryIO, name: str) -> list[str]:
    """Column names of the first line; leaves `file` at the second. Raises UserError if it is not a CSV header.

    name: of the file, for messages.
    """
    line = file.readline(LONGEST_HEADER)
    if not line:
        raise UserError(f"{name}: the file is empty; download it again from the competition's page")
    if line.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise UserError(f"{name}: the file is an archive, not a CSV; unpack it first")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise UserError(f"{name}: the file is UTF-16 or binary, not UTF-8 text; save it again as `CSV UTF-8`")
    if line.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise UserError(f"{name}: the file is a web page, not a CSV; sign in to Kaggle and download it again")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}, row 1: byte {error.start + 1} is not UTF-8; save it again as `CSV UTF-8`") from None
    for separator, plural in _SEPARATORS.items():
        if separator in text and "," not in text:
            raise UserError(f"{name}: the columns are separated by {plural}, not commas; save it again with commas")
    if not line.endswith(b"\n"):
        raise UserError(f"{name}: the file ends in its header: it is incomplete or has no rows; download it again")
    return next(csv.reader([text]))


def match_columns(
    header: list[str], name: str, competition: Competition, extra_column: str | None, extra_limit: int
) -> tuple[Columns, tuple[str, ...]]:
    """Match the header with the competition's columns; returns Columns and notices. Raises UserError with every fault.

    extra_column: of the label or id, None where the file has neither. extra_limit: its largest value.
    """
    wanted = competition.pixel_columns
    position = {column: index for index, column in enumerate(header)}
    faults = []
    if extra_column and extra_column not in position:
        looks_swapped = extra_column == competition.label_column and set(wanted) <= set(header)
        hint = "; it looks like the test file: are train and test swapped?" if looks_swapped else ""
        faults.append(f"there is no column {extra_column!r}{hint}")
    if extra_column != competition.label_column and competition.label_column in position:
        faults.append(f"column {competition.label_column!r} belongs in the training file: are train and test swapped?")
    faults += [f"column {column!r} occurs {count} times" for column, count in Counter(header).items() if count > 1]
    missing = [column for column in wanted if column not in position]
    unknown = [column for column in header if column not in {*wanted, competition.label_column, extra_column}]
    pixel_name = re.compile(re.escape(competition.pixel_prefix) + r"(\d+)")
    numbers = [int(match[1]) for column in position if (match := pixel_name.fullmatch(column))]
    if (missing or unknown) and (hint := _shape_hint(numbers, competition)):
        faults.append(hint)
        unknown = [column for column in unknown if not pixel_name.fullmatch(column)]
    elif missing:
        faults.append(f"{len(missing):,} of the {len(wanted):,} pixel columns are missing, the first is {missing[0]!r}")
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        faults.append(f"{len(unknown):,} unknown columns ({shown}); remove them from the file")
    if faults:
        raise UserError("\n".join(f"{name}, row 1: {fault}" for fault in faults))
    extra = position[extra_column] if extra_column else None
    limits = np.full(len(header), 255)
    if extra is not None:
        limits[extra] = extra_limit
    pixels = [position[column] for column in wanted]
    notices = (
        (f"{name}: pixel columns were not in order and have been put in order",) if pixels != sorted(pixels) else ()
    )
    return Columns(header, pixels, extra, limits), notices


def _shape_hint(numbers: list[int], competition: Competition) -> str:
    """The params to set if the pixel columns fit another image shape; empty if they fit none.

    numbers: those in the names of the pixel columns.
    """
    if not numbers or sorted(numbers) != list(range(min(numbers), min(numbers) + len(numbers))):
        return ""
    count, first = len(numbers), min(numbers)
    side, colour_side = math.isqrt(count), math.isqrt(count // 3)
    height, width = competition.image_shape
    if count == competition.pixels:
        return f'pixel columns are numbered from {first}; add SET="competition.first_pixel={first}" to the command'
    expected = f"{count:,} pixel columns, but {height}x{width} images have {competition.pixels:,}"
    if count == 3 * competition.pixels or (count == 3 * colour_side**2 and side * side != count):
        return f"{expected}; these look like colour images; only images with one value per pixel are supported"
    if side * side == count and side >= 4:
        shape = f"image_shape=[{side},{side}]"
        also = f" competition.first_pixel={first}" if first != competition.first_pixel else ""
        return f'{expected}; for {side}x{side} images, add SET="competition.{shape}{also}" to the command'
    return f'{expected}; for images of another size, add SET="competition.image_shape=[height,width]"'
