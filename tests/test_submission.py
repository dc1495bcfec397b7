"""Only what Kaggle would accept passes, and the ledger remembers it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from digits.errors import UserError
from digits.submission import LEDGER_COLUMNS, append_ledger, check_frame, csv_bytes, make_frame, read_ledger

IDS = np.array([3, 1, 2])


def good() -> pd.DataFrame:
    return make_frame(IDS, np.eye(4)[[2, 0, 3]], "ImageId", "Label")


def check(frame: pd.DataFrame) -> None:
    check_frame(frame, IDS, 4, "ImageId", "Label")


def test_a_good_frame_passes_and_keeps_the_samples_order() -> None:
    check(good())
    assert csv_bytes(good()) == b"ImageId,Label\n3,2\n1,0\n2,3\n"


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (good().rename(columns={"Label": "label"}), "columns"),
        (good().iloc[:2], "has 2 rows, the sample submission has 3"),
        (good().iloc[[1, 0, 2]], "row 2: id is 1, the sample submission has 3"),
        (good().assign(Label=[0, 1, 4]), "row 4: label 4 is not from 0 to 3"),
        (good().assign(Label=[0, -1, 1]), "row 3: label -1"),
        (good().assign(Label=[0.0, 1.0, 2.0]), "float64, must be whole numbers"),
        (good().assign(Label=pd.array([0, None, 1], dtype="float64")), "must be whole numbers"),
    ],
)
def test_what_kaggle_would_refuse_is_refused_here(frame: pd.DataFrame, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check(frame)


def test_the_ledger_is_appended_to_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "submissions" / "ledger.csv"
    assert read_ledger(path) == []
    append_ledger(path, {"file": "a.csv", "message": 'with, comma and "quotes"', "rows": 3})
    append_ledger(path, {"file": "b.csv", "state": "written"})
    entries = read_ledger(path)
    assert [entry["file"] for entry in entries] == ["a.csv", "b.csv"]
    assert entries[0]["message"] == 'with, comma and "quotes"'
    assert tuple(entries[0]) == LEDGER_COLUMNS
    assert pd.read_csv(path)["rows"].iloc[0] == 3
