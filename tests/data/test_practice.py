"""The practice set takes the shape of the competition that it stands in for."""

from pathlib import Path

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.config import Params
from digits.data.csv_reader import read_sample, read_table
from digits.data.practice import practice_files


def test_it_reads_as_the_competition(params: Params, tmp_path: Path) -> None:
    competition = params.competition
    for name, content in practice_files(competition).items():
        (tmp_path / name).write_bytes(content)
    train = read_table(tmp_path / "train.csv", competition, ["label"], [], ("train_rows", None))
    test = read_table(tmp_path / "test.csv", competition, [], [], ("test_rows", None))
    assert len(train.values) + len(test.values) == 1797
    assert train.values.shape[1] == 784
    assert train.values.max() == 255
    assert {int(cell) for cell in train.texts["label"]} == set(range(10))
    sample = read_sample(tmp_path / "sample_submission.csv", competition)
    assert [int(cell) for cell in sample] == list(range(1, len(test.values) + 1))
    assert practice_files(competition) == practice_files(competition)


def test_other_shapes_classes_and_ids(params: Params, tmp_path: Path) -> None:
    changes = {"image_shape": (20, 24), "classes": 4, "test_id_column": "id", "first_id": 0, "first_pixel": 1}
    competition = params.competition.model_copy(update=changes)
    for name, content in practice_files(competition).items():
        (tmp_path / name).write_bytes(content)
    test = read_table(tmp_path / "test.csv", competition, ["id"], [], ("test_rows", None))
    assert test.texts["id"][0] == b"0"
    images = test.values.reshape(-1, 20, 24)
    assert np.ptp(np.nonzero(images.any(axis=(0, 1)))) <= 16  # 8 pixels, enlarged to 16, in a frame of 24


def test_what_it_cannot_stand_in_for(params: Params) -> None:
    with pytest.raises(UserError, match="cannot replace"):
        practice_files(params.competition.model_copy(update={"classes": 26}))
    with pytest.raises(UserError, match="cannot replace"):
        practice_files(params.competition.model_copy(update={"image_shape": (6, 28)}))
    for other in ({"channels": 3}, {"labels_file": "labels.csv"}, {"first_pixel": "1x1"}, {"pixel_range": (0, 16)}):
        with pytest.raises(UserError, match="cannot replace"):
            practice_files(params.competition.model_copy(update=other))
