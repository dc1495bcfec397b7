"""What the beginning of a table shows: its columns, and which of them are the pixels of images."""

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import IO

from digits.common.errors import UserError
from digits.data.csv_header import LONGEST_HEADER, read_header
from digits.data.places import Member, read_parquet

COLOURS = (3, 4)  # channels of images in colour
_ROWS = 300  # looked at in each file
_FEWEST = 16  # values of an image


@dataclass(frozen=True)
class Block:
    """The columns of the pixels.

    first: number in the name of the first one, after `prefix`, or its name. shape: height and width where the names say
    them.
    """

    positions: tuple[int, ...]
    count: int
    prefix: str
    first: int | str
    why: str
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class Sniffed:
    """The beginning of a table: names of its columns, and up to _ROWS rows of cells. block: None without images."""

    member: Member
    names: list[str]
    rows: list[list[str]]
    block: Block | None

    @property
    def others(self) -> list[str]:
        """Names of the columns that are no pixels."""
        pixels = set(self.block.positions) if self.block else set()
        return [name for position, name in enumerate(self.names) if position not in pixels]

    def cells(self, name: str) -> list[str]:
        """The cells of a column."""
        position = self.names.index(name)
        return [row[position] for row in self.rows]


def sniff(member: Member) -> Sniffed:
    """The beginning of a table. Raises UserError if it is none."""
    if member.name.lower().endswith(".parquet"):
        text = read_parquet(member).head(_ROWS).to_csv(index=False)
        return _sniff_stream(member, io.BytesIO(text.encode()))
    with member.open() as stream:
        return _sniff_stream(member, stream)


def _sniff_stream(member: Member, stream: IO[bytes]) -> Sniffed:
    names, named, separator = read_header(stream, member.name)
    lines = (stream.readline(LONGEST_HEADER).decode("utf-8", "replace") for _ in range(_ROWS))
    reader = csv.reader((line for line in lines if line.strip()), delimiter=separator)
    try:
        rows = [row for row in reader if len(row) == len(names)]
    except csv.Error as error:
        raise UserError(f"{member}: not valid, download it again: {error}") from None
    return Sniffed(member, names, rows, _block(names, rows, named) if rows else None)


def _block(names: list[str], rows: list[list[str]], named: bool) -> Block | None:
    """The columns of the pixels; None if there are none."""
    by_name = [block for block in (_gridded(names), _numbered(names)) if block] if named else []
    if by_name:
        return max(by_name, key=lambda block: block.count)
    return _in_one_cell(names, rows) or _by_cells(names, rows)


def _numbered(names: list[str]) -> Block | None:
    """Columns with the same prefix and consecutive numbers; with zeros before the numbers, in the file's order."""
    groups: dict[str, dict[int, int]] = {}
    for position, name in enumerate(names):
        if match := re.fullmatch(r"(.*?)(\d+)", name):
            groups.setdefault(match[1], {})[int(match[2])] = position
    for prefix, numbers in sorted(groups.items(), key=lambda group: -len(group[1])):
        first = min(numbers)
        if len(numbers) >= _FEWEST and sorted(numbers) == list(range(first, first + len(numbers))):
            positions = tuple(numbers[each] for each in sorted(numbers))
            why = f"columns {names[positions[0]]} to {names[positions[-1]]}"
            padded = [names[position] for position in positions] != [f"{prefix}{number}" for number in sorted(numbers)]
            if not padded or _contiguous(positions):
                return Block(positions, len(numbers), prefix, names[positions[0]] if padded else first, why)
    return None


def _gridded(names: list[str]) -> Block | None:
    """Columns named by row and column, such as 1x1 or pixel_0_27, in the order of the file."""
    places = [re.fullmatch(r"\D*(\d+)\D+(\d+)\D*", name) for name in names]
    found = [(position, int(place[1]), int(place[2])) for position, place in enumerate(places) if place]
    height, width = (len({each[axis] for each in found}) for axis in (1, 2))
    positions = tuple(each[0] for each in found)
    if len(found) < _FEWEST or height * width != len(found) or not _contiguous(positions):
        return None
    first, last = names[positions[0]], names[positions[-1]]
    return Block(positions, len(found), "pixel", first, f"columns {first} to {last}", (height, width))


def _in_one_cell(names: list[str], rows: list[list[str]]) -> Block | None:
    """One column whose cells hold all numbers of an image, with blanks between."""
    for position, name in enumerate(names):
        numbers = numbers_in(rows[0][position])
        if len(numbers) >= _FEWEST and all(re.fullmatch(r"[\d.]+", number) for number in numbers):
            return Block((position,), len(numbers), "pixel", name, f"each cell of {name} has {len(numbers)} numbers")
    return None


def numbers_in(cell: str) -> list[str]:
    """The numbers of a cell such as "1 2 3" or "[1, 2, 3]"."""
    return re.split(r"[\s,]+", cell.strip(" []"))


def _by_cells(names: list[str], rows: list[list[str]]) -> Block | None:
    """The longest run of columns with numbers; a label or an id at either end is left out."""
    numeric = [all(is_number(row[position]) for row in rows) for position in range(len(names))]
    runs = "".join("x" if each else " " for each in numeric).split(" ")
    length = max(map(len, runs))
    if length < _FEWEST:
        return None
    start = "".join("x" if each else " " for each in numeric).index("x" * length)
    first = next((skip for skip in (0, 1, 2) if _is_image(length - skip)), None)
    if first is None:
        return None
    last_is_other = first == 1 and _spread(rows, start + length - 1) > _spread(rows, start)
    start, count = (start, length - 1) if last_is_other else (start + first, length - first)
    prefix, number = re.fullmatch(r"(.*?)(\d*)", names[start]).groups()  # type: ignore[union-attr]
    positions = tuple(range(start, start + count))
    why = f"{count} columns of numbers, from {names[start]!r} on"
    numbered = names[start : start + count] == [f"{prefix}{int(number or 0) + each}" for each in range(count)]
    return Block(positions, count, prefix if numbered else "pixel", int(number) if numbered else names[start], why)


def _spread(rows: list[list[str]], position: int) -> int:
    """How many different values a column has; the border of images has few."""
    return len({row[position] for row in rows})


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _contiguous(positions: tuple[int, ...]) -> bool:
    return positions == tuple(range(positions[0], positions[0] + len(positions)))


def _is_image(count: int) -> bool:
    return any(
        count % colours == 0 and math.isqrt(count // colours) ** 2 == count // colours for colours in (1, *COLOURS)
    )
