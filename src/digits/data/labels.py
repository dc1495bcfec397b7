"""Labels and ids as the files have them: numbers or text."""

import re

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition
from digits.data.csv_reader import Texts

Value = int | str
Ids = NDArray[np.int64] | NDArray[np.str_]

_WHOLE = re.compile(rb"-?(0|[1-9]\d{0,17})(\.0*)?")
_ID = re.compile(rb"0|[1-9]\d{0,17}")  # an int64 that text gives back unchanged
_SHOWN = 5


def class_numbers(
    texts: Texts, competition: Competition, file: str, first_row: int
) -> tuple[NDArray[np.int64], list[Value]]:
    """Class of each image, 0 to classes - 1, (n,), and the label of each class as the files have it.

    Labels that are whole numbers are in numerical order, all others in alphabetical order, or in that of
    competition.class_names if those are the labels. first_row: number of the first row, for messages. Raises UserError
    if there are not as many different labels as competition.classes says, or if a label is blank.
    """
    found, first, classes = np.unique(texts, return_index=True, return_inverse=True)
    if blank := [row for cell, row in zip(found.tolist(), first, strict=True) if not cell.strip()]:
        row = blank[0] + first_row
        raise UserError(f"{file}, row {row:,}: the label is blank; correct it in the file, or download the file again")
    values, names = _values(found), list(competition.class_names or ())
    order: list[Value] = [*names] if set(names) == set(values) else different_labels(texts)
    if len(order) != competition.classes:
        seen, counts = f"from {order[0]!r} to {order[-1]!r}", np.bincount(classes)
        if (more := len(order) - competition.classes) > 0:
            rare = np.argsort(counts, kind="stable")[: min(_SHOWN, more)]
            some = (f"{values[each]!r} in {counts[each]:,} rows, first in {first[each] + first_row:,}" for each in rare)
            seen = f"the rarest: {', '.join(some)}"
        remedy = f'if these are the labels, add SET="competition.classes={len(order)}"' if len(order) > 1 else ""
        raise UserError(
            f"{file}: there are {len(order):,} different labels ({seen}), but competition.classes = "
            f"{competition.classes}; {remedy}"
        )
    number = np.array([order.index(value) for value in values])
    return number[classes].astype(np.int64), order


def different_labels(texts: Texts) -> list[Value]:
    """The different labels in `texts`, numbers in numerical and others in alphabetical order."""
    return sorted({*_values(np.unique(texts))}, key=lambda value: (str(type(value)), value))


def largest_of(texts: list[Texts], columns: tuple[str, ...], file: str) -> NDArray[np.int64]:
    """Class of each image by one-hot labels, (n,): the column with the largest number. texts: (n,) of each class.

    Raises UserError if a cell is no number.
    """
    try:
        numbers = np.stack([column.astype(np.float64) for column in texts], axis=1)
    except ValueError as error:
        raise UserError(f"{file}: columns {columns[0]} to {columns[-1]} must be numbers: {error}") from None
    return np.asarray(numbers.argmax(axis=1), dtype=np.int64)


def ids(texts: Texts, file: str) -> Ids:
    """Ids, (n,), as int64 if that gives them back unchanged, else as text. Raises UserError if one occurs twice."""
    found, count = np.unique(texts, return_counts=True)
    if count.max() > 1:
        repeated = found[count > 1]
        more = f", as {len(repeated) - 1:,} others do" if len(repeated) > 1 else ""
        raise UserError(
            f"{file}: id {repeated[0].decode('utf-8', 'replace')} occurs more than once{more}; download the file "
            "again, or name another column as competition.test_id_column"
        )
    if all(_ID.fullmatch(cell) for cell in found.tolist()):
        return texts.astype(np.int64)
    return np.array([_text(cell) for cell in texts.tolist()])


def _values(found: Texts) -> list[Value]:
    """Labels as numbers if all of them are whole numbers, else as text."""
    cells = [cell.strip() for cell in found.tolist()]
    if all(map(_WHOLE.fullmatch, cells)):
        return [int(cell.partition(b".")[0]) for cell in cells]
    return [_text(cell).strip() for cell in found.tolist()]


def _text(cell: bytes) -> str:
    """The cell as text. Raises UserError if it is no UTF-8, because two labels or ids might look the same then."""
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        shown = cell[:20].decode("utf-8", "backslashreplace")
        raise UserError(f"the label or id '{shown}' is not UTF-8; save the file again as `CSV UTF-8`") from None
