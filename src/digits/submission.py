"""The file to upload, and the ledger that remembers it."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.errors import UserError

LEDGER_COLUMNS = (
    "written",  # UTC, ISO 8601
    "competition",
    "provenance",  # of the data: kaggle, local or practice
    "source",  # name of the archive or folder
    "source_sha256",  # hash of the training file
    "data",  # hash of the images, labels and folds
    "file",
    "sha256",
    "rows",
    "expected",  # share of right predictions among the test images, with the 95 % interval
    "expected_low",
    "expected_high",
    "cv_accuracy",
    "cv_low",
    "cv_high",
    "holdout_accuracy",
    "members",
    "message",
    "state",  # written, uploaded, ...
    "public_score",
)


def make_frame(
    ids: NDArray[np.int64], probabilities: NDArray[np.floating], id_column: str, label_column: str
) -> pd.DataFrame:
    """One row per test image: its id and its most probable class."""
    return pd.DataFrame({id_column: ids, label_column: probabilities.argmax(axis=1)})


def check_frame(frame: pd.DataFrame, ids: NDArray[np.int64], classes: int, id_column: str, label_column: str) -> None:
    """Raise UserError, naming the row as a spreadsheet counts, unless Kaggle would accept the frame.

    That is: the two columns alone, the sample's ids in the sample's order, whole labels from 0 to classes - 1.
    """
    if list(frame.columns) != [id_column, label_column]:
        raise UserError(f"submission: columns are {list(frame.columns)}, must be {[id_column, label_column]}")
    if len(frame) != len(ids):
        raise UserError(f"submission: has {len(frame):,} rows, the sample submission has {len(ids):,}")
    wrong = np.flatnonzero(frame[id_column].to_numpy() != ids)
    if len(wrong):
        row = int(wrong[0])
        found = frame[id_column].iloc[row]
        raise UserError(f"submission, row {row + 2}: id is {found}, the sample submission has {ids[row]}")
    labels = frame[label_column]
    if not pd.api.types.is_integer_dtype(labels):
        raise UserError(f"submission: labels are {labels.dtype}, must be whole numbers")
    wrong = np.flatnonzero(~labels.between(0, classes - 1).to_numpy())
    if len(wrong):
        row = int(wrong[0])
        raise UserError(f"submission, row {row + 2}: label {labels.iloc[row]} is not from 0 to {classes - 1}")


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The frame as the file to upload; the same frame gives the same bytes on every system."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def read_ledger(path: Path) -> list[dict[str, str]]:
    """All lines of the ledger, oldest first."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_ledger(path: Path, entry: dict[str, object]) -> None:
    """Add one line; it is written in a single call and flushed to disk. Values missing from `entry` stay blank."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (header := path.read_text(encoding="utf-8").partition("\n")[0]) != ",".join(LEDGER_COLUMNS):
        raise UserError(f"{path}: has other columns ({header}); move it away, a new one is begun")
    text = io.StringIO()
    writer = csv.DictWriter(text, LEDGER_COLUMNS, restval="", lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    writer.writerow(entry)
    with path.open("ab") as file:
        file.write(text.getvalue().encode())
        file.flush()
        os.fsync(file.fileno())
