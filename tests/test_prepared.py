"""Folds and holdout of the prepared arrays partition the labelled rows."""

from pathlib import Path

import numpy as np
import pytest

from digits.errors import UserError
from digits.prepared import Prepared, load_prepared


def test_rows_partition(toy_data: Prepared) -> None:
    everything = set(range(180))
    valid = [set(toy_data.valid_rows(fold)) for fold in range(toy_data.fold_count)]
    held_out = set(toy_data.holdout_rows)
    assert set().union(*valid) | held_out == everything
    assert sum(map(len, valid)) + len(held_out) == 180
    for fold in range(toy_data.fold_count):
        assert set(toy_data.train_rows(fold)) == everything - held_out - valid[fold]
    assert set(toy_data.working_rows) == everything - held_out


def test_arrays_are_mapped_not_copied(toy_data: Prepared) -> None:
    assert isinstance(toy_data.images, np.memmap)


def test_a_folder_without_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make data"):
        load_prepared(tmp_path / "none")
