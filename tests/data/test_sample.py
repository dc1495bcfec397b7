"""A sample is the data set as if it had fewer labelled images, the same ones in every process."""

import numpy as np
import pytest

from digits.data.dataset import Dataset
from digits.data.sample import sampled, with_hash


def test_a_sample_has_a_share_of_every_part(toy_data: Dataset) -> None:
    sample = sampled(toy_data, 4, seed=7)
    assert len(sample.train_rows(None)) == 180 // 4
    parts = [*(sample.valid_rows(fold) for fold in range(3)), sample.holdout_rows]
    assert sorted(np.concatenate(parts)) == sample.train_rows(None).tolist(), "each in one part"
    for fold in range(3):
        assert {*sample.valid_rows(fold)} < {*toy_data.valid_rows(fold)}
        assert {*sample.train_rows(fold)} < {*toy_data.train_rows(fold)}
        assert not {*sample.train_rows(fold)} & {*sample.valid_rows(fold), *sample.holdout_rows}
        assert len({*sample.train_rows(fold), *sample.valid_rows(fold), *sample.holdout_rows}) == 45
    assert {*sample.holdout_rows} < {*toy_data.holdout_rows}
    assert sample.test_images is toy_data.test_images
    assert sample.fold_count == toy_data.fold_count


def test_a_sample_follows_from_seed_and_share(toy_data: Dataset) -> None:
    """Half of a share is part of it; another seed draws others."""
    rows = {(share, seed): {*sampled(toy_data, share, seed).train_rows(None)} for share in (2, 4) for seed in (1, 2)}
    assert rows[4, 1] == {*sampled(toy_data, 4, seed=1).train_rows(None)}
    assert rows[4, 1] < rows[2, 1]
    assert rows[4, 1] != rows[4, 2]
    assert sampled(toy_data, 1, seed=1) is toy_data


def test_images_that_every_model_learns_are_sampled_too(toy_data: Dataset) -> None:
    folds = np.array(toy_data.folds)
    folds[:60] = -2
    learned = Dataset(**vars(toy_data) | {"folds": folds})
    sample = sampled(learned, 2, seed=0)
    known = {*range(60)} & {*sample.train_rows(None)}
    assert 15 < len(known) < 45
    assert all(known <= {*sample.train_rows(fold)} for fold in range(3))


def test_the_hash_finds_the_sample_again(toy_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sampled(toy_data, 8, seed=3)
    assert len({toy_data.hash, sample.hash, sampled(toy_data, 4, seed=3).hash}) == 3
    found = with_hash(toy_data, sample.hash, seed=3)
    assert found
    assert np.array_equal(found.folds, sample.folds)
    assert with_hash(toy_data, toy_data.hash, seed=3) is toy_data
    assert with_hash(toy_data, f"another/{sample.hash}", seed=3) is None
    monkeypatch.setattr("digits.data.sample.code_version", lambda name: "newer")
    assert with_hash(toy_data, sample.hash, seed=3) is None
