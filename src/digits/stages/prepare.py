"""Read and check the CSVs, split them into folds and a holdout, keep the arrays."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.config import Params
from digits.dataset import Table, read_sample_ids, read_test, read_train
from digits.errors import UserError
from digits.files import fingerprint
from digits.folds import HOLDOUT, assign_folds, duplicate_groups
from digits.job import Job, Outcome
from digits.machine import peak_memory
from digits.prepared import Prepared, count_shared, load_prepared, mark_current, save_prepared
from digits.sources import Source, load_source
from digits.versions import code_version


def run(job: Job) -> Outcome:
    """Make data/processed/<competition>-<fingerprint> and mark it as current."""
    source = load_source(job.paths.source)
    folder = job.paths.processed / _folder_name(job.params, source)
    fresh = not folder.is_dir()
    if fresh:
        _prepare(job, source, folder)
    mark_current(job.paths.processed, folder)
    return Outcome(_summary(load_prepared(folder)), fresh)


def _show(job: Job, about: dict[str, Any], folds: NDArray[np.int8]) -> None:
    """Classes with their counts, folds, hash and memory."""
    classes = range(about["classes"])
    names = job.params.competition.class_names or tuple(map(str, classes))
    parts = Counter(folds.tolist())
    job.console.say("classes  " + "  ".join(f"{names[label]}: {about['class_counts'][label]:,}" for label in classes))
    job.console.say(
        "folds    "
        + "  ".join(f"{fold}: {parts[fold]:,}" for fold in sorted(set(parts) - {HOLDOUT}))
        + f"  holdout: {parts[HOLDOUT]:,}"
    )
    job.console.say(f"hash     {about['hash'][:16]}  from {about['source']} ({about['provenance']})")
    job.console.say(f"memory   {peak_memory():,.0f} MB at most")


def _folder_name(params: Params, source: Source) -> str:
    decisive = {
        "files": source.sha256,
        "provenance": source.provenance,
        "competition": params.competition.model_dump(mode="json"),
        "split": params.data.model_dump(mode="json", exclude={"normalise"}),
        "code": code_version("digits.dataset", "digits.folds", "digits.stages.prepare"),
    }
    return f"{params.competition.slug}-{fingerprint(decisive)}"


def _prepare(job: Job, source: Source, folder: Path) -> None:
    competition, split = job.params.competition, job.params.data
    files = Path(source.folder)
    # the practice set stands in for the competition's files, in every respect but their number of rows
    practice = source.provenance == "practice"
    train_path, test_path = files / competition.train_file, files / competition.test_file
    megabytes = (train_path.stat().st_size + test_path.stat().st_size) / 1e6
    with job.console.bar("read", megabytes, "MB") as bar:

        def on_bytes(count: int) -> None:
            bar.advance(count / 1e6)

        train = read_train(train_path, competition, None if practice else competition.train_rows, on_bytes)
        test = read_test(test_path, competition, None if practice else competition.test_rows, on_bytes)
    assert train.extra is not None
    ids = _ids(job, source, test)
    groups = duplicate_groups(train.images)
    folds = assign_folds(train.extra, groups, split.folds, split.holdout, split.seed)
    repeated, shared = int((groups != np.arange(len(groups))).sum()), count_shared(train.images, test.images)
    for notice in [*train.notices, *test.notices]:
        job.console.say(notice)
    if repeated:
        job.console.say(f"{competition.train_file}: {repeated:,} images repeat another; each stays in the other's fold")
    if shared:
        job.console.warn(f"{shared:,} images of {competition.test_file} stand in {competition.train_file} too")
    arrays: dict[str, NDArray[Any]] = {
        "images": train.images,
        "labels": train.extra,
        "folds": folds,
        "test_images": test.images,
        "test_ids": ids,
    }
    about = {
        "slug": competition.slug,
        "provenance": source.provenance,
        "source": source.label,
        "image_shape": competition.image_shape,
        "classes": competition.classes,
        "hash": _hash(arrays),
        "class_counts": np.bincount(train.extra, minlength=competition.classes).tolist(),
        "repeated": repeated,
        "shared_with_test": shared,
    }
    save_prepared(folder, arrays, about)
    _show(job, about, folds)


def _ids(job: Job, source: Source, test: Table) -> NDArray[np.int64]:
    """Ids of the test images, as the sample submission, the test file or params.yaml has them."""
    competition = job.params.competition
    counted = np.arange(competition.first_id, competition.first_id + len(test.images))
    own = counted if test.extra is None else test.extra
    if competition.sample_file not in source.sha256:
        job.console.say(f"there is no {competition.sample_file}; ids run from {own[0]} to {own[-1]}")
        return own
    ids = read_sample_ids(Path(source.folder) / competition.sample_file, competition)
    if len(ids) != len(test.images):
        raise UserError(
            f"{competition.sample_file} has {len(ids):,} ids, {competition.test_file} has {len(test.images):,} images; "
            "they are not of one download, take all files anew"
        )
    if test.extra is not None and not np.array_equal(own, ids):
        raise UserError(f"{competition.test_file}: its ids are not those of {competition.sample_file}")
    return ids


def _hash(arrays: dict[str, NDArray[Any]]) -> str:
    """Hash of shapes, types and content."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _summary(data: Prepared) -> str:
    height, width = data.image_shape
    holdout = int((np.asarray(data.folds) == HOLDOUT).sum())
    return (
        f"{len(data.images):,} labelled and {len(data.test_images):,} test images of {height}x{width}; "
        f"{data.fold_count} folds, {holdout:,} images held out"
    )
