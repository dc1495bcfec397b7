"""Folds and holdout of the prepared arrays partition the labelled rows."""

import re
from pathlib import Path

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.data.dataset import Dataset, load_dataset, taken


def test_rows_partition(toy_data: Dataset) -> None:
    everything = set(range(180))
    valid = [set(toy_data.valid_rows(fold)) for fold in range(toy_data.fold_count)]
    held_out = set(toy_data.holdout_rows)
    assert set().union(*valid) | held_out == everything
    assert sum(map(len, valid)) + len(held_out) == 180
    for fold in range(toy_data.fold_count):
        assert set(toy_data.train_rows(fold)) == everything - held_out - valid[fold]
    assert set(toy_data.working_rows) == everything - held_out


def test_a_refit_uses_all_rows_and_judges_none(toy_data: Dataset) -> None:
    assert toy_data.train_rows(None).tolist() == [*range(180)]
    assert toy_data.valid_rows(None).tolist() == []
    assert {rows.dtype for rows in (toy_data.train_rows(None), toy_data.valid_rows(None))} == {np.dtype("int64")}


def test_arrays_are_mapped_not_copied(toy_data: Dataset) -> None:
    assert isinstance(toy_data.images, np.memmap)


def test_a_folder_without_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make data"):
        load_dataset(tmp_path / "none")


def test_a_size_has_the_values_per_pixel_where_they_are_several(toy_data: Dataset, coloured_data: Dataset) -> None:
    assert (toy_data.size, coloured_data.size) == ("12x12", "12x12x3")


def test_channels_of_a_pixel_are_stored_together(coloured_data: Dataset) -> None:
    shaped = coloured_data.shaped(coloured_data.images[4:6])
    assert shaped.shape == (2, 12, 12, 3)
    assert np.array_equal(shaped[1, 2, 3], coloured_data.images[5, (2 * 12 + 3) * 3 :][:3])


def test_images_that_are_taken_are_copies_and_their_file_is_no_memory_of_the_process(tmp_path: Path) -> None:
    """Resident pages of the file, as Linux counts them; elsewhere the copies alone are compared."""
    images = np.random.default_rng(0).integers(0, 256, (8192, 1024), np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped, rows = np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(0, 8192, 3)
    assert np.array_equal(taken(images, rows), images[rows])
    part = taken(mapped, rows)
    assert np.array_equal(part, images[rows])
    assert not np.shares_memory(part, mapped)
    if (maps := Path("/proc/self/smaps")).exists():
        [entry] = re.findall(rf"{tmp_path}/images.npy\n(?:.*\n)*?Rss: +(\d+) kB", maps.read_text())
        assert int(entry) < 1000
    assert np.array_equal(taken(mapped, rows[::-1]), images[rows[::-1]]), "it can be read again"
