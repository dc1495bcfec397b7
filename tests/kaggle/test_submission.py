"""Only what Kaggle would accept passes; what is unusual about it is reported."""

import numpy as np
import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.kaggle.submission import check_frame, csv_bytes, make_frame, share_differing, unusual_classes

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


def test_classes_that_are_predicted_far_too_often_or_not_at_all_are_found() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 40_000)
    assert unusual_classes(generator.integers(0, 4, 28_000), labels, 4) == []
    skewed = np.where(generator.random(28_000) < 0.05, 2, generator.integers(0, 4, 28_000))
    assert [number for number, *_ in unusual_classes(skewed, labels, 4)] == [2]
    [(number, ours, theirs), *_] = unusual_classes(np.full(100, 1), labels, 4)[1:]
    assert (number, ours) == (1, 1.0)
    assert theirs == pytest.approx(0.25, abs=0.02)
    assert 3 in [number for number, *_ in unusual_classes(np.arange(3000) % 3, labels, 4)]


def test_two_submissions_are_compared_row_by_row() -> None:
    assert share_differing(good(), good()) == 0
    assert share_differing(good(), good().assign(Label=[2, 1, 1])) == pytest.approx(2 / 3)
    assert share_differing(good(), good().assign(ImageId=[3, 1, 4])) is None
    assert share_differing(good(), good().iloc[:2]) is None
