"""Turns the numbers of a file into pixels: bytes from 0 to 255, the values of a pixel side by side."""

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition
from digits.data.csv_reader import Table
from digits.data.csv_rows import Values

Range = tuple[float, float]

BYTE = 255
DARK = 128  # a largest value below it says that the pixels do not run to 255


def pixel_range(table: Table, competition: Competition, file: str) -> tuple[Range, tuple[str, ...]]:
    """The smallest and largest possible value of a pixel, and notices.

    It is that of the params, else what the training images in `table` show: 0 to 255, 0 to 1, or 0 to the largest value
    if that is below 128. Raises UserError with the place of the first value that is outside, or that has decimals in an
    image of whole numbers.
    """
    values = table.values
    if competition.pixel_range is not None:
        low, high = competition.pixel_range
        _refuse(table, (values < low) | (values > high), competition, file, f"outside {low:g} to {high:g}")
        return (low, high), ()
    _refuse(table, (values < 0) | (values > BYTE), competition, file, "outside 0 to 255")
    largest = float(values.max())
    if largest <= 1:
        return (0.0, 1.0), (f"{file}: the pixels run from 0 to 1, and are scaled to 0 to 255",)
    if values.dtype != np.uint8:
        _refuse(table, values != np.rint(values), competition, file, "not whole")
    if largest >= DARK:
        return (0.0, float(BYTE)), ()
    return (0.0, largest), (
        f"{file}: the largest pixel is {largest:g}, so 0 to {largest:g} is scaled to 0 to 255; if that is not right, "
        'add SET="competition.pixel_range=[0,255]"',
    )


def to_bytes(values: Values, limits: Range, competition: Competition) -> tuple[NDArray[np.uint8], int]:
    """Pixels, uint8 (n, height * width * channels), and how many values were outside `limits` and moved there.

    `limits` become 0 and 255. The values of a pixel stand side by side, whatever their order in the file.
    """
    low, high = limits
    outside = int(((values < low) | (values > high)).sum())
    if limits == (0, BYTE):
        pixels = (
            np.rint(values.clip(low, high)).astype(np.uint8)
            if values.dtype != np.uint8
            else values.astype(np.uint8, copy=False)
        )
    elif values.dtype == np.uint8:
        table = np.rint((np.arange(256).clip(low, high) - low) * (BYTE / (high - low)))
        pixels = table.astype(np.uint8)[values]
    else:
        pixels = np.empty(values.shape, np.uint8)
        for first in range(0, len(values), 1000):  # so that there is never a second copy of all rows
            part = values[first : first + 1000].clip(low, high)
            pixels[first : first + 1000] = np.rint((part - low) * (BYTE / (high - low)))
    if competition.planar and competition.channels > 1:
        planes = pixels.reshape(len(pixels), competition.channels, -1)
        pixels = np.ascontiguousarray(planes.transpose(0, 2, 1)).reshape(len(pixels), -1)
    return pixels, outside


def _refuse(table: Table, wrong: NDArray[np.bool_], competition: Competition, file: str, kind: str) -> None:
    """Raise UserError if a value is wrong. kind: as in "outside 0 to 255"."""
    count = int(wrong.sum())
    if not count:
        return
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    name = (
        competition.pixel_columns[column] if isinstance(competition.first_pixel, int) else f"{column + 1} of the pixels"
    )
    low, high = (float(limit) for limit in (min(table.values.min(), 0), table.values.max()))
    raise UserError(
        f"{file}: {count:,} cells are {kind}, the first in row {row + table.first_row:,}, column {name}: "
        f"{table.values[row, column]:g}; correct these cells or, if the pixels run from {low:g} to {high:g}, add "
        f'SET="competition.pixel_range=[{low:g},{high:g}]"'
    )
