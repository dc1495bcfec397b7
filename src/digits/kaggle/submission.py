"""The submission file: made from probabilities, checked, compared with other submissions and with the labels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.data.labels import Ids, Value

_UNUSUAL = 5.0  # standard errors; a larger difference between a class's two shares is reported


def make_frame(
    ids: Ids, probabilities: NDArray[np.floating], values: list[Value], id_column: str, label_column: str
) -> pd.DataFrame:
    """One row per test image: its id and the label of its most probable class.

    ids: (m,). probabilities: (m, classes). values: label of each class as the files have it. The columns have the given
    names.
    """
    labels = [values[number] for number in probabilities.argmax(axis=1)]
    return pd.DataFrame({id_column: ids, label_column: labels})


def check_frame(frame: pd.DataFrame, ids: Ids, values: list[Value], id_column: str, label_column: str) -> None:
    """Raise UserError unless Kaggle would accept the frame; its message counts rows as a spreadsheet does.

    Kaggle accepts exactly these two columns, the sample's ids in the sample's order, and labels that are among `values`.
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
    wrong = np.flatnonzero(~labels.isin(values).to_numpy())
    if len(wrong):
        row = int(wrong[0])
        shown = f"from {values[0]} to {values[-1]}" if len(values) > 2 else f"{values[0]} or {values[-1]}"
        raise UserError(
            f"submission, row {row + 2}: label {labels.iloc[row]!r} is not one of the {len(values)} {shown}"
        )


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """The frame as a CSV file; equal frames give equal bytes on every system."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def unusual_classes(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> list[tuple[int, float, float]]:
    """Classes that are predicted far more often, or more rarely, than they are labelled.

    predicted, labels: (n,) and (m,), from 0 to classes - 1. Returns the class, its share of the predictions and its
    share of the labels, where the shares differ by more than five standard errors of the difference between two samples
    of one population (the pooled two-proportion z-test).
    """
    ours, theirs = (np.bincount(values, minlength=classes) / len(values) for values in (predicted, labels))
    pooled = np.bincount(np.concatenate([predicted, labels]), minlength=classes) / (len(predicted) + len(labels))
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(predicted) + 1 / len(labels)))
    return [
        (number, float(ours[number]), float(theirs[number]))
        for number in range(classes)
        if abs(ours[number] - theirs[number]) > _UNUSUAL * error[number]
    ]


def share_differing(some: pd.DataFrame, other: pd.DataFrame) -> float | None:
    """Share of rows, 0 to 1, in which the labels of two checked frames differ; None if their ids differ."""
    columns = ((frame.iloc[:, 0].astype(str), frame.iloc[:, 1].astype(str)) for frame in (some, other))
    (ids, labels), (other_ids, other_labels) = columns
    if not np.array_equal(ids, other_ids):
        return None
    return float((labels.to_numpy() != other_labels.to_numpy()).mean())
