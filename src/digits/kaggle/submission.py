"""The submission file: made from probabilities, checked, compared with other submissions and with the labels."""

import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError

Ids = NDArray[np.int64] | NDArray[np.str_]
Value = int | str  # a label as the competition's files have it

_LEAST = 1e-15  # smallest probability that is submitted; Kaggle counts smaller ones as this
_SUM_WITHIN = 1e-6  # of 1; rounded probabilities miss it by less
_UNUSUAL = 5.0  # standard errors; a larger difference between a class's two shares is reported


def make_frame(
    ids: Ids,
    probabilities: NDArray[np.floating],
    values: list[Value],
    id_column: str,
    label_column: str | tuple[str, ...],
) -> pd.DataFrame:
    """One row per test image: its id and the label of its most probable class, or the probabilities of all classes.

    ids: (m,). probabilities: (m, classes). values: label of each class. The columns have the given names.
    """
    if not isinstance(label_column, str):
        return pd.concat([pd.Series(ids, name=id_column), _submitted(probabilities, label_column)], axis=1)
    return pd.DataFrame({id_column: ids, label_column: [values[number] for number in probabilities.argmax(axis=1)]})


def _submitted(probabilities: NDArray[np.floating], columns: tuple[str, ...]) -> pd.DataFrame:
    """Probabilities above 0 with nine significant digits; rows sum to 1, but for rounding."""
    positive = np.maximum(probabilities.astype(np.float64), _LEAST)
    shares = pd.DataFrame(positive / positive.sum(axis=1, keepdims=True), columns=list(columns))
    return shares.map(lambda share: float(f"{share:.9g}"))


def check_frame(
    frame: pd.DataFrame,
    ids: Ids,
    values: list[Value],
    id_column: str,
    label_column: str | tuple[str, ...],
) -> None:
    """Raise UserError unless Kaggle would accept the frame; its message counts rows as a spreadsheet does.

    Kaggle accepts exactly these columns, the sample's ids in the sample's order, and labels that are among `values`, or
    probabilities above 0 that sum to 1. Probabilities are read back from the file's text first.
    """
    columns = [id_column, *([label_column] if isinstance(label_column, str) else label_column)]
    if list(frame.columns) != columns:
        raise UserError(f"submission: columns are {list(frame.columns)}, must be {columns}")
    if len(frame) != len(ids):
        raise UserError(f"submission: has {len(frame):,} rows, the sample submission has {len(ids):,}")
    wrong = np.flatnonzero(frame[id_column].to_numpy() != ids)
    if len(wrong):
        row = int(wrong[0])
        found = frame[id_column].iloc[row]
        raise UserError(f"submission, row {row + 2}: id is {found}, the sample submission has {ids[row]}")
    if not isinstance(label_column, str):
        _check_probabilities(pd.read_csv(io.BytesIO(csv_bytes(frame[columns[1:]]))))
        return
    labels = frame[label_column]
    wrong = np.flatnonzero(~labels.astype(str).isin([str(value) for value in values]).to_numpy())
    if len(wrong):
        row = int(wrong[0])
        shown = f"{len(values)} from {values[0]!r} to {values[-1]!r}"
        raise UserError(f"submission, row {row + 2}: label {labels.tolist()[row]!r} is none of the {shown}")


def _check_probabilities(frame: pd.DataFrame) -> None:
    """Raise UserError unless every row consists of probabilities above 0 that sum to 1."""
    if not all(map(pd.api.types.is_float_dtype, frame.dtypes)):
        raise UserError(f"submission: probabilities are {[*map(str, frame.dtypes)]}, must be fractions")
    values = frame.to_numpy()
    wrong = ~((values > 0) & (values <= 1)).all(axis=1) | ~(abs(values.sum(axis=1) - 1) <= _SUM_WITHIN)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"submission, row {row + 2}: probabilities {[*map(float, values[row])]} are not all above 0 with sum 1"
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
    """Share of rows, 0 to 1, in which the classes of two checked frames differ; None if their ids or columns do."""
    if list(some.columns) != list(other.columns):
        return None
    ids, other_ids = (frame.iloc[:, 0].astype(str).tolist() for frame in (some, other))
    if ids != other_ids:
        return None
    labels, other_labels = (
        (frame.iloc[:, 1].astype(str) if frame.shape[1] == 2 else frame.iloc[:, 1:].astype(float).idxmax(axis=1))
        for frame in (some, other)
    )
    return float((labels.to_numpy() != other_labels.to_numpy()).mean())
