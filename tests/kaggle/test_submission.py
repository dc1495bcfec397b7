"""Only what Kaggle would accept passes; what is unusual about it is reported."""

import io

import numpy as np
import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.kaggle.submission import check_frame, csv_bytes, make_frame, share_differing, unusual_classes

IDS = np.array([3, 1, 2])
COLUMNS = ("p0", "p1", "p2", "p3")


def good() -> pd.DataFrame:
    return make_frame(IDS, np.eye(4)[[2, 0, 3]], [0, 1, 2, 3], "ImageId", "Label")


def check(frame: pd.DataFrame) -> None:
    check_frame(frame, IDS, [0, 1, 2, 3], "ImageId", "Label")


def test_a_good_frame_passes_and_keeps_the_samples_order() -> None:
    check(good())
    assert csv_bytes(good()) == b"ImageId,Label\n3,2\n1,0\n2,3\n"


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (good().rename(columns={"Label": "label"}), "columns"),
        (good().iloc[:2], "has 2 rows, the sample submission has 3"),
        (good().iloc[[1, 0, 2]], "row 2: id is 1, the sample submission has 3"),
        (good().assign(Label=[0, 1, 4]), "row 4: label 4 is none of the 4 from 0 to 3"),
        (good().assign(Label=[0, -1, 1]), "row 3: label -1"),
        (good().assign(Label=[0.0, 1.0, 2.0]), "row 2: label 0.0 is none of"),
        (good().assign(Label=pd.array([0, None, 1], dtype="float64")), "row 2: label 0.0"),
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


def shares() -> pd.DataFrame:
    """A submission of probabilities: a sure image, an unsure one, one whose classes but one are impossible."""
    probabilities = np.array([[1, 1e-9, 1e-20, 0], [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 0]], np.float32)
    return make_frame(IDS, probabilities, [0, 1, 2, 3], "ImageId", COLUMNS)


def test_probabilities_come_back_from_the_file_and_are_never_0() -> None:
    frame = shares()
    check_frame(frame, IDS, [0, 1, 2, 3], "ImageId", COLUMNS)
    back = pd.read_csv(io.BytesIO(csv_bytes(frame)))
    assert np.allclose(back, frame, rtol=1e-12, atol=0)
    assert back["ImageId"].tolist() == [3, 1, 2]
    values = back[[*COLUMNS]].to_numpy()
    assert (values > 0).all()
    assert values.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-8)
    assert values[1] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert values[2].min() == 1e-15


def test_many_classes_still_sum_to_1() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.full(256, 0.1), 50)
    names = tuple(f"p{number}" for number in range(256))
    frame = make_frame(np.arange(50), probabilities, [*range(256)], "id", names)
    check_frame(frame, np.arange(50), [*range(256)], "id", names)
    assert np.allclose(frame[[*names]], np.maximum(probabilities, 1e-15), rtol=1e-8)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (shares().rename(columns={"p1": "p9"}), "columns"),
        (shares()[["ImageId", "p1", "p0", "p2", "p3"]], "columns"),
        (shares().assign(p3=[0.1, 0.4, 0.1]), "row 2: probabilities .* are not all above 0 with sum 1"),
        (shares().assign(p0=[0.9, 0.1, 0.1]), "row 2: .* sum 1"),
        (shares().assign(p3=[0.0, 0.4, 0.1]), "row 2: .* above 0"),
        (shares().assign(p0=[1.0, -0.1, 0.1], p3=[1e-9, 0.6, 1e-9]), "row 3: .* above 0"),
        (shares().assign(p3=[np.nan, 0.4, 0.1]), "row 2: .* sum 1"),
        (shares().assign(p0=["1", "a", "b"]), "must be fractions"),
        (shares().assign(p0=[1, 0, 0]), "must be fractions"),
        (shares().iloc[[1, 0, 2]], "row 2: id is 1"),
    ],
)
def test_what_are_no_probabilities_is_refused(frame: pd.DataFrame, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check_frame(frame, IDS, [0, 1, 2, 3], "ImageId", COLUMNS)


def test_submissions_of_probabilities_are_compared_by_their_classes() -> None:
    other = shares().assign(p0=[0.1, 0.5, 1e-9])
    assert share_differing(shares(), shares()) == 0
    assert share_differing(shares(), other) == pytest.approx(1 / 3)
    assert share_differing(shares(), good()) is None


def test_labels_are_submitted_as_the_files_have_them() -> None:
    ids, values = np.array(["007", "b,c", "9"]), ["no", "yes, it is"]
    frame = make_frame(ids, np.eye(2)[[1, 0, 1]], values, "id", "kind")  # type: ignore[arg-type]
    check_frame(frame, ids, values, "id", "kind")  # type: ignore[arg-type]
    assert csv_bytes(frame) == b'id,kind\n007,"yes, it is"\n"b,c",no\n9,"yes, it is"\n'
    back = pd.read_csv(io.BytesIO(csv_bytes(frame)), dtype=str)
    assert share_differing(frame, back) == 0
    with pytest.raises(UserError, match="row 3: label 'No' is none of the 2 from 'no'"):
        check_frame(frame.assign(kind=["no", "No", "no"]), ids, values, "id", "kind")  # type: ignore[arg-type]
