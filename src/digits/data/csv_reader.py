"""A competition's CSV -> uint8 images and labels that can be trusted.

The file is read in pieces of whole lines. A piece that consists of digits, commas and line ends alone, with the right
number of each, goes through pandas' C parser. Any other piece is read cell by cell by a slow, obvious parser, which
accepts what is equivalent (quoted numbers) and says of everything else what is wrong with it, where.
"""

import csv
import io
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition

PIECE_BYTES = 16 * 2**20  # about 9,000 rows of 784 pixels: pandas' overhead per piece is small, and so is its memory
PARSERS = 2  # threads; pandas' parser leaves Python's lock for most of its time, more than two gain little
FAULTS_SHOWN = 20
LONGEST_HEADER = 2**23  # bytes; 512x512 pixels have 3 MB of column names

_BYTES = {str(value).encode(): value for value in range(256)}
_DIGITS = 19  # of the largest int64; int() refuses to read thousands
_NUMBER = re.compile(rb"\d+")
_QUOTED_NUMBER = re.compile(rb'(?<![^,\n])"(\d+)"(?![^,\n])')
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}

Result = TypeVar("Result")
OnBytes = Callable[[int], None]


def _unheard(_: int) -> None:
    pass


@dataclass(frozen=True)
class Table:
    """One file's content.

    images: uint8 (n, pixels), 0..255, columns in the order of `Competition.pixel_columns`.
    extra: int64 (n,) labels or ids, or None where the file has only pixels.
    notices: what was unusual but harmless.
    """

    images: NDArray[np.uint8]
    extra: NDArray[np.int64] | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Columns:
    """Where things stand in a row of the file."""

    names: list[str]
    pixels: list[int]  # position of each pixel, in canonical order
    extra: int | None  # position of the label or id
    limits: NDArray[np.int64]  # largest value allowed, by position


@dataclass
class _Faults:
    """Faults of a file or of a piece of it; all are counted, the first ones kept in words."""

    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, row: int, message: str) -> None:
        self.count += 1
        if len(self.lines) < FAULTS_SHOWN:
            self.lines.append(f"row {row:,}: {message}")

    def extend(self, later: "_Faults") -> None:
        self.count += later.count
        self.lines += later.lines[: FAULTS_SHOWN - len(self.lines)]

    def raise_if_any(self, file: str) -> None:
        if not self.count:
            return
        rest = self.count - len(self.lines)
        shown = [f"{file}, {line}" for line in self.lines]
        more = [f"{file}: and {rest:,} more faults"] if rest else []
        remedy = f"{file}: nothing was changed; mend these cells, or take the file anew from the competition's page"
        raise UserError("\n".join([*shown, *more, remedy]))


def read_train(path: Path, competition: Competition, expected_rows: int | None, on_bytes: OnBytes = _unheard) -> Table:
    """Labelled images; `extra` holds the labels, 0..classes - 1. Raises UserError naming every fault's place.

    on_bytes: told the size of each piece that has been read.
    """
    table = _read(path, competition, competition.label_column, competition.classes - 1, on_bytes)
    _check_rows(path, len(table.images), expected_rows, "train_rows")
    return table


def read_test(path: Path, competition: Competition, expected_rows: int | None, on_bytes: OnBytes = _unheard) -> Table:
    """Unlabelled images; `extra` holds the ids where the competition's test file has a column of them."""
    table = _read(path, competition, competition.test_id_column, np.iinfo(np.int64).max, on_bytes)
    _check_rows(path, len(table.images), expected_rows, "test_rows")
    return table


def read_sample_ids(path: Path, competition: Competition) -> NDArray[np.int64]:
    """Ids of the sample submission, (n,), in its order."""
    wanted = [competition.submission_id_column, competition.submission_label_column]
    try:
        frame = pd.read_csv(path, encoding="utf-8-sig", dtype={competition.submission_id_column: "int64"})
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: not a sample submission: {' '.join(str(error).split())}") from None
    if list(frame.columns) != wanted:
        raise UserError(f"{path.name}: columns are {list(frame.columns)}, the competition's are {wanted}")
    ids = frame[competition.submission_id_column].to_numpy()
    if len(np.unique(ids)) != len(ids):
        repeated = frame[competition.submission_id_column][frame[competition.submission_id_column].duplicated()].iloc[0]
        raise UserError(f"{path.name}: id {repeated} stands more than once")
    return ids


def _read(path: Path, competition: Competition, extra_column: str | None, extra_limit: int, on_bytes: OnBytes) -> Table:
    with path.open("rb") as file:
        header = _read_header(file, path.name)
        columns, notices = _match_columns(header, path.name, competition, extra_column, extra_limit)
        rows = _count_lines(file)
        if not rows:
            raise UserError(f"{path.name}: has a header but no rows; take the file anew from the competition's page")
        # filled piece by piece: at no moment is there a second copy of everything
        images, extra = np.empty((rows, competition.pixels), np.uint8), np.empty(rows, np.int64)
        faults, done = _Faults(), 0
        for size, part in _in_threads(lambda row, piece: _parse(piece, columns, row), _pieces(file)):
            end = done + len(part.images)
            images[done:end], extra[done:end] = part.images, part.extra
            faults.extend(part.faults)
            done = end
            on_bytes(size)
    faults.raise_if_any(path.name)
    return Table(images, extra if extra_column else None, notices)


def _in_threads(work: Callable[..., Result], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
    """Results of `work`, in order, from PARSERS threads that are never more than that many pieces ahead."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(PARSERS) as pool:
        for each in arguments:
            waiting.append(pool.submit(work, *each))
            if len(waiting) > PARSERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _count_lines(file: BinaryIO) -> int:
    """Lines from where `file` stands to its end, a last one without a line end included; leaves `file` as it was."""
    start = file.tell()
    lines, last = 0, b"\n"
    while block := file.read(PIECE_BYTES):
        lines += block.count(b"\n")
        last = block[-1:]
    file.seek(start)
    return lines + (last != b"\n")


def _read_header(file: BinaryIO, name: str) -> list[str]:
    """Names in the first line; leaves `file` at the second."""
    line = file.readline(LONGEST_HEADER)
    if not line:
        raise UserError(f"{name}: is empty; take the file anew from the competition's page")
    if line.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise UserError(f"{name}: is an archive, not a CSV; give it a name that ends in .zip or unpack it first")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise UserError(f"{name}: is UTF-16 or binary, not UTF-8 text; save it again as `CSV UTF-8`")
    if line.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise UserError(f"{name}: is a web page, not a CSV; sign in to the competition's page and download it again")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}, row 1: byte {error.start + 1} is not UTF-8; save it again as `CSV UTF-8`") from None
    for separator, words in _SEPARATORS.items():
        if separator in text and "," not in text:
            raise UserError(f"{name}: is separated by {words}, not commas; save it again with commas")
    if not line.endswith(b"\n"):
        raise UserError(
            f"{name}: the header is cut or there are no rows; take the file anew from the competition's page"
        )
    return next(csv.reader([text]))


def _match_columns(
    header: list[str], name: str, competition: Competition, extra_column: str | None, extra_limit: int
) -> tuple[_Columns, tuple[str, ...]]:
    """Match the header with the competition's columns; raises UserError with every difference."""
    wanted = competition.pixel_columns
    position = {column: index for index, column in enumerate(header)}
    faults = []
    if extra_column and extra_column not in position:
        looks_swapped = extra_column == competition.label_column and set(wanted) <= set(header)
        hint = "; it looks like the test file: are train and test swapped?" if looks_swapped else ""
        faults.append(f"there is no column {extra_column!r}{hint}")
    if extra_column != competition.label_column and competition.label_column in position:
        faults.append(f"column {competition.label_column!r} belongs in the training file: are train and test swapped?")
    faults += [f"column {column!r} stands {count} times" for column, count in Counter(header).items() if count > 1]
    missing = [column for column in wanted if column not in position]
    unknown = [column for column in header if column not in {*wanted, competition.label_column, extra_column}]
    pixel_like = re.compile(re.escape(competition.pixel_prefix) + r"(\d+)")
    found = [int(match[1]) for column in position if (match := pixel_like.fullmatch(column))]
    if (missing or unknown) and (hint := _hint_of_shape(found, competition)):
        faults.append(hint)
        unknown = [column for column in unknown if not pixel_like.fullmatch(column)]
    elif missing:
        faults.append(f"{len(missing):,} of the {len(wanted):,} pixel columns are missing, the first is {missing[0]!r}")
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        faults.append(f"{len(unknown):,} unknown columns ({shown}); remove them")
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
    return _Columns(header, pixels, extra, limits), notices


def _hint_of_shape(found: list[int], competition: Competition) -> str:
    """What to set where the numbers of the pixel columns are whole, but of another image than expected."""
    if not found or sorted(found) != list(range(min(found), min(found) + len(found))):
        return ""
    first, side, colour = min(found), math.isqrt(len(found)), math.isqrt(len(found) // 3)
    height, width = competition.image_shape
    if len(found) == competition.pixels:
        return f'pixel columns are numbered from {first}; say so with SET="competition.first_pixel={first}"'
    expected = f"{len(found):,} pixel columns, but {height}x{width} images have {competition.pixels:,}"
    if len(found) == 3 * competition.pixels or (len(found) == 3 * colour**2 and side * side != len(found)):
        return f"{expected}; these look like colour images, which are not supported: one value per pixel"
    if side * side == len(found) and side >= 4:
        shape = f"image_shape=[{side},{side}]"
        also = f" competition.first_pixel={first}" if first != competition.first_pixel else ""
        return f'{expected}; for {side}x{side} images: SET="competition.{shape}{also}"'
    return f'{expected}; for images of another size: SET="competition.image_shape=[height,width]"'


def _pieces(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first row as a spreadsheet counts, whole lines); only the file's last may lack its end."""
    row = 2
    rest = b""
    while block := file.read(PIECE_BYTES):
        cut = block.rfind(b"\n") + 1
        piece, rest = (rest + block[:cut], block[cut:]) if cut else (b"", rest + block)
        if piece:
            yield row, piece
            row += piece.count(b"\n")
    if rest:
        yield row, rest


@dataclass(frozen=True)
class _Part:
    """One piece's faultless rows: images uint8 (rows, pixels), extra int64 (rows,); and its faults."""

    images: NDArray[np.uint8]
    extra: NDArray[np.int64]
    faults: _Faults


def _parse(piece: bytes, columns: _Columns, first_row: int) -> tuple[int, _Part]:
    """The size of the piece in bytes, and what it says."""
    size, faults = len(piece), _Faults()
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    if b'"' in piece:
        piece = _QUOTED_NUMBER.sub(rb"\1", piece)
    values = _parse_fast(piece, columns)
    if values is None:
        values = _parse_slow(piece, columns, first_row, faults)
    in_order = columns.pixels == list(range(columns.pixels[0], columns.pixels[0] + len(columns.pixels)))
    # a slice is a view, a list of positions is a slow copy
    pixels = slice(columns.pixels[0], columns.pixels[-1] + 1) if in_order else columns.pixels
    extra = values[:, columns.extra] if columns.extra is not None else np.zeros(len(values))
    images = values[:, pixels].astype(np.uint8, order="C")
    return size, _Part(images, extra.astype(np.int64), faults)


def _parse_fast(piece: bytes, columns: _Columns) -> NDArray[np.integer] | None:
    """All cells of a faultless piece, or None where it is not beyond doubt."""
    width, rows = len(columns.names), piece.count(b"\n")
    if piece.translate(None, b"0123456789,\n") or piece.count(b",") != rows * (width - 1) or piece[-1:] != b"\n":
        return None
    try:
        frame = pd.read_csv(
            io.BytesIO(piece),
            header=None,
            names=list(range(width)),
            # one dtype for all is one block of memory; a column of large ids costs the block's eightfold for a moment
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


def _parse_slow(piece: bytes, columns: _Columns, first_row: int, faults: _Faults) -> NDArray[np.int64]:
    """Cells of the faultless rows, int64 (rows, width); every other row goes to `faults`."""
    good = []
    limits = columns.limits.tolist()
    *lines, unfinished = piece.split(b"\n")
    for row, line in enumerate([*lines, *([unfinished] if unfinished else [])], start=first_row):
        cells = line.split(b",")
        if len(cells) != len(columns.names):
            blank = "is blank" if not line.strip() else f"has {len(cells):,} cells instead of {len(columns.names):,}"
            faults.add(row, f"the row {blank}")
            continue
        values = list(map(_BYTES.get, cells))  # most cells of most rows are found here, and quickly
        if None not in values and (columns.extra is None or values[columns.extra] <= limits[columns.extra]):
            good.append(values)
            continue
        reasons = [_cell_fault(cell, limit) for cell, limit in zip(cells, limits, strict=True)]
        for column, reason in zip(columns.names, reasons, strict=True):
            if reason:
                faults.add(row, f"column {column}: {reason}")
        if not any(reasons):
            good.append([int(cell) for cell in cells])
    if unfinished:
        row = first_row + len(lines)
        faults.add(row, "the file ends in the middle of a line: it is cut, or its last line end was removed")
    return np.array(good, dtype=np.int64).reshape(len(good), len(columns.names))


def _cell_fault(cell: bytes, limit: int) -> str:
    """What is wrong with a cell, or nothing."""
    if _NUMBER.fullmatch(cell) and len(cell.lstrip(b"0")) <= _DIGITS and int(cell) <= limit:
        return ""
    if not cell.strip():
        return "the cell is blank"
    text = cell if len(cell) <= 20 else cell[:20] + b"..."
    return f"{text.decode('utf-8', 'backslashreplace')!r} is not a whole number from 0 to {limit:,}"


def _check_rows(path: Path, rows: int, expected: int | None, key: str) -> None:
    if expected is not None and rows != expected:
        raise UserError(
            f"{path.name}: has {rows:,} rows, {expected:,} are expected; if the file is whole, "
            f'say so with SET="competition.{key}={rows}" (or null for any number)'
        )
