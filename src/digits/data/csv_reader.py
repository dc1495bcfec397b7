"""Reads a competition's CSV files: numbers of the images, and text of the labels and ids.

The large files are read in chunks of whole lines, which threads parse in parallel.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import MisfitError, UserError
from digits.config import Competition
from digits.data.csv_header import match_columns, read_header
from digits.data.csv_rows import Faults, Values, parse_chunk

CHUNK_BYTES = 16 * 2**20  # about 9,000 rows of 784 pixels: little overhead per chunk in pandas, and little memory
PARSERS = 2  # threads; pandas' parser releases the GIL for most of its time; more than two gain little

Result = TypeVar("Result")
OnBytes = Callable[[int], None]
Texts = NDArray[np.bytes_]


def ignore(_: int) -> None:
    """No bar."""


@dataclass(frozen=True)
class Table:
    """The content of a file.

    values: (n, values) of the images as they are in the file, uint8 if all of them are whole and at most 255, else
    float32; columns in the order of the params. texts: cells of the kept columns by name, utf-8, (n,). first_row:
    number of the first row, as a spreadsheet counts. notices: messages about what is unusual but harmless.
    """

    values: Values
    texts: dict[str, Texts]
    first_row: int = 2
    notices: tuple[str, ...] = ()


def read_table(
    path: Path,
    competition: Competition,
    kept: list[str],
    known: list[str],
    expected: tuple[str, int | None],
    on_bytes: OnBytes = ignore,
) -> Table:
    """Images of a CSV, and the text of some other columns. Raises UserError with the place of every fault.

    kept: names of those columns. known: names of columns that are no surprise. expected: key of the params for the
    number of rows, and that number, None for any. on_bytes: called with the size of each chunk that has been read.
    Raises MisfitError if the columns are not those of the params.
    """
    with path.open("rb") as file:
        header = read_header(file, path.name)
        columns, notices = match_columns(header, path.name, competition, kept, known)
        # filled chunk by chunk, so that there is never a second copy of all rows
        values: Values = np.empty((_count_lines(file), competition.pixels), np.uint8)
        texts: list[list[bytes]] = [[] for _ in kept]
        faults, done, unfinished = Faults(), 0, False
        chunks = _chunks(file, 1 + header.named)
        for size, part in _in_threads(lambda row, chunk: parse_chunk(chunk, columns, row), chunks):
            if part.values.dtype != values.dtype:
                values = values.astype(np.float32)
            values[done : done + len(part.values)] = part.values
            for column, cells in zip(texts, part.texts, strict=True):
                column.extend(cells)
            faults.extend(part.faults)
            done += len(part.values)
            unfinished = unfinished or part.unfinished
            on_bytes(size)
    faults.raise_if_any(path.name)
    if not done:
        raise UserError(f"{path.name}: the file has a header but no rows; download it again")
    _check_rows(path, done, *expected)
    if not header.named:
        notices += (f"{path.name}: the file has no header; its columns are called column0 to {header.names[-1]}",)
    if unfinished:
        notices += (f"{path.name}: the last line has no line end, but all of its cells",)
    cells_of = {name: np.array(cells, dtype=np.bytes_) for name, cells in zip(kept, texts, strict=True)}
    return Table(values[:done], cells_of, 1 + header.named, notices)


def read_sample(path: Path, competition: Competition) -> Texts:
    """Ids of the sample submission, (m,), in its order. Raises MisfitError if it has other columns than the params."""
    expected, frame = competition.submission_columns, read_text(path)
    if frame.columns[0] != expected[0] or sorted(frame.columns) != sorted(expected):
        raise MisfitError(
            f"{path.name}, row 1: the columns are {[*frame.columns]}, but {expected} are expected; set "
            "competition.submission_id and competition.submission_label to the file's names"
        )
    return np.array([cell.encode() for cell in frame[competition.submission_id]], dtype=np.bytes_)


def read_text(path: Path) -> pd.DataFrame:
    """A small CSV as text, every cell as it is. Raises UserError if it is not one."""
    with path.open("rb") as file:
        separator = read_header(file, path.name).separator  # raises UserError if the file is no CSV
    try:
        return pd.read_csv(path, sep=separator, encoding="utf-8-sig", dtype=str, na_filter=False)
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: not valid, download it again: {' '.join(str(error).split())}") from None


def _in_threads(function: Callable[..., Result], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
    """Yield the results of `function`, in order, from PARSERS threads that are at most PARSERS results ahead."""
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(PARSERS) as pool:
        for each in arguments:
            pending.append(pool.submit(function, *each))
            if len(pending) > PARSERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _count_lines(file: BinaryIO) -> int:
    """Number of lines from the position of `file` to its end, with an incomplete last one; keeps the position."""
    start = file.tell()
    lines, last = 0, b"\n"
    while block := file.read(CHUNK_BYTES):
        lines += block.count(b"\n")
        last = block[-1:]
    file.seek(start)
    return lines + (last != b"\n")


def _chunks(file: BinaryIO, row: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first row, whole lines); only the file's last line may be incomplete.

    row: number of the next line, as a spreadsheet counts. Blank lines at the end of the file are left out.
    """
    rest, block = b"", file.read(CHUNK_BYTES)
    while block:
        following = file.read(CHUNK_BYTES)
        text = rest + block
        cut = text.rfind(b"\n") + 1 if following else len(text)
        chunk, rest, block = text[:cut], text[cut:], following
        if not following and chunk.endswith(b"\n"):
            chunk = chunk.rstrip(b"\r\n") + b"\n"
        if chunk.strip():
            yield row, chunk
            row += chunk.count(b"\n")


def _check_rows(path: Path, rows: int, key: str, expected: int | None) -> None:
    if expected is not None and rows != expected:
        raise UserError(
            f"{path.name}: the file has {rows:,} rows, but {expected:,} are expected; download it again or, if it is "
            f'complete, add SET="competition.{key}={rows}" (null: any number)'
        )
