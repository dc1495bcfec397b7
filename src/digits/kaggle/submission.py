"""The file to upload: made, checked, and compared with others."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError

_UNUSUAL = 5.0  # standard errors between a class's share of the predictions and of the training images


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


def unusual_classes(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> list[tuple[int, float, float]]:
    """Classes predicted far more often, or less, than they are among the labelled images.

    predicted, labels: (n,) and (m,), from 0 to classes - 1. Returns class, its share of the predictions and of the
    labels, where these differ by more than five standard errors of two samples of the same images.
    """
    ours, theirs = (np.bincount(each, minlength=classes) / len(each) for each in (predicted, labels))
    pooled = np.bincount(np.concatenate([predicted, labels]), minlength=classes) / (len(predicted) + len(labels))
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(predicted) + 1 / len(labels)))
    return [
        (each, float(ours[each]), float(theirs[each]))
        for each in range(classes)
        if abs(ours[each] - theirs[each]) > _UNUSUAL * error[each]
    ]


def share_differing(some: pd.DataFrame, other: pd.DataFrame) -> float | None:
    """Share of rows, 0 to 1, in which two checked frames predict otherwise; None where their ids are not the same."""
    (ids, labels), (other_ids, other_labels) = ((frame.iloc[:, 0], frame.iloc[:, 1]) for frame in (some, other))
    if not np.array_equal(ids, other_ids):
        return None
    return float((labels.to_numpy() != other_labels.to_numpy()).mean())
