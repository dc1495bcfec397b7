"""The practice set takes the shape of the competition that it stands in for."""

from pathlib import Path

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.config import Params
from digits.data.csv_reader import read_sample_ids, read_test, read_train
from digits.data.practice import practice_files


def test_it_reads_as_the_competition(params: Params, tmp_path: Path) -> None:
    competition = params.competition
    for name, content in practice_files(competition).items():
        (tmp_path / name).write_bytes(content)
    train = read_train(tmp_path / "train.csv", competition, None)
    test = read_test(tmp_path / "test.csv", competition, None)
    assert len(train.images) + len(test.images) == 1797
    assert train.images.shape[1] == 784
    assert train.images.max() == 255
    assert train.extra is not None
    assert set(train.extra) == set(range(10))
    assert read_sample_ids(tmp_path / "sample_submission.csv", competition).tolist() == list(
        range(1, len(test.images) + 1)
    )
    assert practice_files(competition) == practice_files(competition)


def test_other_shapes_classes_and_ids(params: Params, tmp_path: Path) -> None:
    changes = {"image_shape": (20, 24), "classes": 4, "test_id_column": "id", "first_id": 0, "first_pixel": 1}
    competition = params.competition.model_copy(update=changes)
    for name, content in practice_files(competition).items():
        (tmp_path / name).write_bytes(content)
    test = read_test(tmp_path / "test.csv", competition, None)
    assert test.extra is not None
    assert test.extra[0] == 0
    images = test.images.reshape(-1, 20, 24)
    assert np.ptp(np.nonzero(images.any(axis=(0, 1)))) <= 16  # 8 pixels, enlarged to 16, in a frame of 24


def test_what_it_cannot_stand_in_for(params: Params) -> None:
    with pytest.raises(UserError, match="cannot replace"):
        practice_files(params.competition.model_copy(update={"classes": 26}))
    with pytest.raises(UserError, match="cannot replace"):
        practice_files(params.competition.model_copy(update={"image_shape": (6, 28)}))
