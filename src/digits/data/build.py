"""Turns the competition's files into the arrays of a dataset, and checks them against each other."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition, Params
from digits.data.csv_reader import OnBytes, Table, read_sample_ids, read_test, read_train
from digits.data.duplicates import count_shared, duplicate_groups
from digits.data.folds import assign_folds
from digits.data.sources import Source


def prepare(source: Source, params: Params, on_bytes: OnBytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and `about`, as in `Dataset`. Raises UserError with every fault of a file, or if files do not match."""
    competition, split = params.competition, params.data
    files = Path(source.folder)
    # the practice set has the competition's columns, but not its number of rows
    practice = source.provenance == "practice"
    expected = (None, None) if practice else (competition.train_rows, competition.test_rows)
    train = read_train(files / competition.train_file, competition, expected[0], on_bytes)
    test = read_test(files / competition.test_file, competition, expected[1], on_bytes)
    assert train.extra is not None
    notices = [*train.notices, *test.notices]
    ids = _ids(competition, source, test, notices)
    groups = duplicate_groups(train.images)
    arrays: dict[str, NDArray[Any]] = {
        "images": train.images,
        "labels": train.extra,
        "folds": assign_folds(train.extra, groups, competition.classes, split.folds, split.holdout, split.seed),
        "test_images": test.images,
        "test_ids": ids,
    }
    repeated, shared = int((groups != np.arange(len(groups))).sum()), count_shared(train.images, test.images)
    if repeated:
        notices.append(f"{competition.train_file}: {repeated:,} images are copies of others; copies share a fold")
    if shared:
        notices.append(f"WARNING: {shared:,} images of {competition.test_file} are also in {competition.train_file}")
    about = {
        "slug": competition.slug,
        "provenance": source.provenance,
        "source": source.label,
        "source_sha256": source.sha256,
        "image_shape": competition.image_shape,
        "channels": competition.channels,
        "classes": competition.classes,
        "hash": _hash(arrays, competition),
        "class_counts": np.bincount(train.extra, minlength=competition.classes).tolist(),
        "repeated": repeated,
        "shared_with_test": shared,
        "notices": notices,
    }
    return arrays, about


def _ids(competition: Competition, source: Source, test: Table, notices: list[str]) -> NDArray[np.int64]:
    """Ids of the test images, (m,): those of the sample submission, else of the test file, else first_id and up."""
    counted = np.arange(competition.first_id, competition.first_id + len(test.images))
    own = counted if test.extra is None else test.extra
    if competition.sample_file not in source.sha256:
        notices.append(f"{competition.sample_file} is missing; the test images have the ids {own[0]} to {own[-1]}")
        return own
    ids = read_sample_ids(Path(source.folder) / competition.sample_file, competition)
    if len(ids) != len(test.images):
        raise UserError(
            f"{competition.sample_file} has {len(ids):,} ids, {competition.test_file} has {len(test.images):,} images; "
            "they come from different downloads: download all files again"
        )
    if test.extra is not None and not np.array_equal(own, ids):
        raise UserError(
            f"{competition.test_file}: its ids differ from those of {competition.sample_file}; download both again"
        )
    return ids


def _hash(arrays: dict[str, NDArray[Any]], competition: Competition) -> str:
    """SHA-256, in hex, of the arrays' names, dtypes, shapes and content, the image shape and the number of classes."""
    digest = hashlib.sha256(f"{competition.image_shape} {competition.classes}".encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
