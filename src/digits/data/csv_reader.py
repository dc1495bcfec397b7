"""Reads a competition's CSV files into arrays: images and labels, test images and ids, sample submission ids.

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

from digits.common.errors import UserError
from digits.config import Competition
from digits.data.csv_header import match_columns, read_header
from digits.data.csv_rows import Faults, parse_chunk

CHUNK_BYTES = 16 * 2**20  # about 9,000 rows of 784 pixels: little overhead per chunk in pandas, and little memory
PARSERS = 2  # threads; pandas' parser releases the GIL for most of its time; more than two gain little

Result = TypeVar("Result")
OnBytes = Callable[[int], None]


def _ignore(_: int) -> None:
    pass


@dataclass(frozen=True)
class Table:
    """The content of a file.

    images: uint8 (n, pixels), 0..255, columns in the order of `Competition.pixel_columns`.
    extra: int64 (n,) labels or ids, or None where the file has only pixels.
    notices: messages about what is unusual but harmless.
    """

    images: NDArray[np.uint8]
    extra: NDArray[np.int64] | None
    notices: tuple[str, ...] = ()


def read_train(path: Path, competition: Competition, expected_rows: int | None, on_bytes: OnBytes = _ignore) -> Table:
    """Labelled images; `extra` holds the labels, 0..classes - 1. Raises UserError with row and column of every fault.

    expected_rows: None for any number. on_bytes: called with the size of each chunk that has been read.
    """
    table = _read(path, competition, competition.label_column, competition.classes - 1, on_bytes)
    _check_rows(path, len(table.images), expected_rows, "train_rows")
    return table


def read_test(path: Path, competition: Competition, expected_rows: int | None, on_bytes: OnBytes = _ignore) -> Table:
    """Unlabelled images; `extra` holds the ids where the competition's test file has a column of them.

    Arguments and errors are those of `read_train`.
    """
    table = _read(path, competition, competition.test_id_column, np.iinfo(np.int64).max, on_bytes)
    _check_rows(path, len(table.images), expected_rows, "test_rows")
    return table


def read_sample_ids(path: Path, competition: Competition) -> NDArray[np.int64]:
    """Ids of the sample submission, (m,), in its order. Raises UserError if it is not one, or an id occurs twice."""
    expected = [competition.submission_id, competition.submission_label]
    try:
        frame = pd.read_csv(path, encoding="utf-8-sig", dtype={competition.submission_id: "int64"})
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: not valid, download it again: {' '.join(str(error).split())}") from None
    if list(frame.columns) != expected:
        raise UserError(
            f"{path.name}, row 1: the columns are {[*frame.columns]}, but {expected} are expected; set "
            "competition.submission_id and competition.submission_label to the file's names"
        )
    ids = frame[competition.submission_id].to_numpy()
    if len(np.unique(ids)) != len(ids):
        repeated = frame[competition.submission_id][frame[competition.submission_id].duplicated()].iloc[0]
        raise UserError(f"{path.name}: id {repeated} occurs more than once; download the file again")
    return ids


def _read(path: Path, competition: Competition, extra_column: str | None, extra_limit: int, on_bytes: OnBytes) -> Table:
    with path.open("rb") as file:
        header = read_header(file, path.name)
        columns, notices = match_columns(header, path.name, competition, extra_column, extra_limit)
        rows = _count_lines(file)
        if not rows:
            raise UserError(f"{path.name}: the file has a header but no rows; download it again")
        # filled chunk by chunk, so that there is never a second copy of all rows
        images, extra = np.empty((rows, competition.pixels), np.uint8), np.empty(rows, np.int64)
        faults, done = Faults(), 0
        for size, part in _in_threads(lambda row, chunk: parse_chunk(chunk, columns, row), _chunks(file)):
            end = done + len(part.images)
            images[done:end], extra[done:end] = part.images, part.extra
            faults.extend(part.faults)
            done = end
            on_bytes(size)
    faults.raise_if_any(path.name)
    return Table(images, extra if extra_column else None, notices)


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


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first row as in a spreadsheet, whole lines); only the file's last line may be incomplete."""
    row = 2
    rest = b""
    while block := file.read(CHUNK_BYTES):
        cut = block.rfind(b"\n") + 1
        chunk, rest = (rest + block[:cut], block[cut:]) if cut else (b"", rest + block)
        if chunk:
            yield row, chunk
            row += chunk.count(b"\n")
    if rest:
        yield row, rest


def _check_rows(path: Path, rows: int, expected: int | None, key: str) -> None:
    if expected is not None and rows != expected:
        raise UserError(
            f"{path.name}: the file has {rows:,} rows, but {expected:,} are expected; download it again or, if it is "
            f'complete, add SET="competition.{key}={rows}" (null: any number)'
        )
