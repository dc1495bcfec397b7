"""Makes the arrays of a dataset, and checks them against each other."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from digits.common.errors import UserError
from digits.config import Competition, Params
from digits.data.csv_header import match_columns, read_header
from digits.data.csv_reader import OnBytes, Table, Texts, ignore, read_sample, read_table, read_text
from digits.data.duplicates import count_shared, duplicate_groups
from digits.data.folds import assign_folds
from digits.data.ink import measured_ink
from digits.data.labels import Ids, Value, class_numbers, ids, largest_of
from digits.data.pixels import pixel_range, to_bytes
from digits.data.sources import Source

_APART = 0.2  # share of the labelled images that play the test images where there are none


def prepare(
    source: Source, params: Params, on_bytes: OnBytes = ignore
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and `about`, as in `Dataset`. Raises UserError with every fault of a file, or if files do not match.

    Raises MisfitError if the files have other names or columns than the params say.
    """
    competition, split = params.competition, params.data
    # the practice set has the competition's columns, but not its number of rows
    practice = source.provenance == "practice"
    rows = (None, None) if practice else (competition.train_rows, competition.test_rows)
    train = _read(source, competition.train_file, competition, train_columns(competition), rows[0], on_bytes)
    labels, values = _labels(train, competition, Path(source.folder))
    if competition.test_file is None:
        train, test, labels = _set_apart(train, labels, competition, split.seed)
    else:
        test = _read(source, competition.test_file, competition, _test_columns(source, competition), rows[1], on_bytes)
    test_ids, order, id_notices = _test_ids(test, competition, source)
    limits, range_notices = pixel_range(train, competition, competition.train_file)
    images, _ = to_bytes(train.values, limits, competition)
    test_images, outside = to_bytes(test.values, limits, competition)
    if order is not None:
        test_images = test_images[order]
    groups = duplicate_groups(images)
    folds, fold_notices = assign_folds(labels, groups, competition.classes, split.folds, split.holdout, split.seed)
    arrays: dict[str, NDArray[Any]] = {
        "images": images,
        "labels": labels,
        "folds": folds,
        "test_images": test_images,
        "test_ids": test_ids,
    }
    notices = [*train.notices, *test.notices, *range_notices, *id_notices, *fold_notices]
    if outside:
        notices.append(
            f"WARNING: {competition.test_name}: {outside:,} pixels are outside {limits[0]:g} to {limits[1]:g}, the "
            f"range in {competition.train_file}, and are moved there; are both files scaled in the same way?"
        )
    repeated, shared = int((groups != np.arange(len(groups))).sum()), count_shared(images, test_images)
    if repeated:
        notices.append(f"{competition.train_file}: {repeated:,} images are copies of others; copies share a fold")
    if shared:
        notices.append(f"WARNING: {shared:,} images of {competition.test_name} are also in {competition.train_file}")
    ink = measured_ink(images.reshape(-1, *competition.image_shape)) if competition.channels == 1 else None
    about = {
        "slug": competition.slug,
        "provenance": source.provenance,
        "source": source.label,
        "source_sha256": source.sha256,
        "image_shape": competition.image_shape,
        "channels": competition.channels,
        "pixel_range": limits,
        "ink": ink and asdict(ink),
        "classes": competition.classes,
        "class_values": values,
        "class_names": [*(competition.class_names or map(str, values))],
        "hash": _hash(arrays, competition),
        "class_counts": np.bincount(labels, minlength=competition.classes).tolist(),
        "repeated": repeated,
        "shared_with_test": shared,
        "test_labels": _known_labels(test, competition, values, order, notices),
        "notices": notices,
    }
    return arrays, about


def _set_apart(
    train: Table, labels: NDArray[np.int64], competition: Competition, seed: int
) -> tuple[Table, Table, NDArray[np.int64]]:
    """Training images, test images with their labels, and the labels of the former, where there is no test file."""
    rows, by_class = np.arange(len(labels)), labels if np.bincount(labels).min() > 1 else None
    kept, apart = (
        np.sort(part) for part in train_test_split(rows, test_size=_APART, random_state=seed, stratify=by_class)
    )
    notice = (
        f"there is no test file: {len(apart):,} images of {competition.train_file}, a fifth, are set apart to play the "
        "test images; nothing is learned from them"
    )
    texts = {name: column[apart] for name, column in train.texts.items()}
    test = Table(train.values[apart], texts, train.first_row, (notice,))
    return replace(train, values=train.values[kept], texts={}), test, labels[kept]


def train_columns(competition: Competition) -> list[str]:
    """Columns of the training file whose text is kept."""
    if competition.labels_file:
        return [str(competition.train_id_column)]
    label = competition.label_column
    return [label] if isinstance(label, str) else list(label)


def _test_columns(source: Source, competition: Competition) -> list[str]:
    """Columns of the test file whose text is kept: the ids, and labels if it has them."""
    ids_column = [competition.test_id_column] if competition.test_id_column else []
    labelled = has_labels(Path(source.folder) / competition.test_name, competition)
    return [*ids_column, str(competition.label_column)] if labelled else ids_column


def has_labels(path: Path, competition: Competition) -> bool:
    """Whether a file has the column of the labels."""
    with path.open("rb") as file:
        header = read_header(file, path.name)
    label = competition.label_column
    if not isinstance(label, str) or label not in header.names:
        return False
    columns, _ = match_columns(header, path.name, competition, [], [])
    return header.names.index(label) not in columns.pixels


def _read(
    source: Source, name: str, competition: Competition, kept: list[str], rows: int | None, on_bytes: OnBytes
) -> Table:
    key = "train_rows" if name == competition.train_file else "test_rows"
    known = [column for column in (competition.train_id_column, competition.test_id_column) if column]
    return read_table(Path(source.folder) / name, competition, kept, known, (key, rows), on_bytes)


def _labels(train: Table, competition: Competition, folder: Path) -> tuple[NDArray[np.int64], list[Value]]:
    """Class of each training image, (n,), and the label of each class as the files have it."""
    if not isinstance(competition.label_column, str):
        columns = competition.label_column
        return largest_of([train.texts[column] for column in columns], columns, competition.train_file), [*columns]
    texts = label_texts(train, competition, folder)
    return class_numbers(texts, competition, competition.train_file, train.first_row)


def label_texts(train: Table, competition: Competition, folder: Path) -> Texts:
    """Labels of the training images as the files have them, (n,); not for one-hot labels. folder: of the files."""
    if competition.labels_file is None:
        return train.texts[str(competition.label_column)]
    return _joined(train, competition, folder / competition.labels_file)


def _joined(train: Table, competition: Competition, path: Path) -> Texts:
    """Labels of the training images, (n,), from a file of their own. Raises UserError if an image has none or two."""
    frame, id_column = read_text(path), str(competition.train_id_column)
    missing = [column for column in (id_column, competition.label_column) if column not in frame.columns]
    if missing:
        raise UserError(f"{path.name}, row 1: there is no column {missing[0]!r}; the columns are {[*frame.columns]}")
    ids(np.array([cell.encode() for cell in frame[id_column]], dtype=np.bytes_), path.name)  # raises if one is repeated
    label = dict(zip(frame[id_column], frame[competition.label_column], strict=True))
    wanted = [cell.decode("utf-8", "replace") for cell in train.texts[id_column].tolist()]
    absent = [each for each in wanted if each not in label]
    if absent:
        raise UserError(
            f"{path.name}: {len(absent):,} ids of {competition.train_file} are missing, the first is {absent[0]}"
        )
    return np.array([label[each].encode() for each in wanted], dtype=np.bytes_)


def _test_ids(
    test: Table, competition: Competition, source: Source
) -> tuple[Ids, NDArray[np.int64] | None, tuple[str, ...]]:
    """Ids of the test images in the order of the submission, that order of the test file's rows, and notices.

    The ids are those of the sample submission, else of the test file, else first_id and up. Order: None for the file's.
    """
    own = ids(test.texts[competition.test_id_column], competition.test_name) if competition.test_id_column else None
    count = len(test.values)
    if competition.sample_file not in source.sha256:
        given = np.arange(competition.first_id, competition.first_id + count) if own is None else own
        if competition.sample_file is None:
            return given, None, ()
        return (
            given,
            None,
            (f"{competition.sample_file} is missing; the test images have the ids {given[0]} to {given[-1]}",),
        )
    assert competition.sample_file is not None
    sample = ids(read_sample(Path(source.folder) / competition.sample_file, competition), competition.sample_file)
    without = 'download all files again, or leave the sample out with SET="competition.sample_file=null"'
    if len(sample) != count:
        raise UserError(
            f"{competition.sample_file} has {len(sample):,} ids, {competition.test_name} has {count:,} images; "
            f"{without}"
        )
    if own is None or (own.dtype == sample.dtype and np.array_equal(own, sample)):
        return sample, None, ()
    place = {str(value): row for row, value in enumerate(own.tolist())}
    absent = [value for value in sample.tolist() if str(value) not in place]
    if absent:
        raise UserError(
            f"{competition.sample_file}: {len(absent):,} ids are not in {competition.test_name}, the first is "
            f"{absent[0]}; {without}"
        )
    order = np.array([place[str(value)] for value in sample.tolist()])
    return sample, order, (f"{competition.test_name} is in another order than {competition.sample_file}: joined by id",)


def _known_labels(
    test: Table, competition: Competition, values: list[Value], order: NDArray[np.int64] | None, notices: list[str]
) -> list[int] | None:
    """Classes of the test images where the test file says them for all images; None otherwise."""
    texts = test.texts.get(str(competition.label_column))
    if texts is None:
        return None
    known = known_classes(texts if order is None else texts[order], values)
    if known is None:
        notices.append(f"{competition.test_name}: column {competition.label_column!r} is not used")
        return None
    notices.append(
        f"{competition.test_name} has labels: the accuracy on them is shown at the end, and nothing is chosen by it"
    )
    return known


def known_classes(texts: Texts, values: list[Value]) -> list[int] | None:
    """Classes of labels that are all among `values`, the label of each class; None otherwise."""
    number = {str(value): index for index, value in enumerate(values)}
    cells = [cell.decode("utf-8", "replace").strip() for cell in texts.tolist()]
    known = [number.get(cell, number.get(cell.partition(".")[0])) for cell in cells]
    return None if None in known else [each for each in known if each is not None]


def _hash(arrays: dict[str, NDArray[Any]], competition: Competition) -> str:
    """SHA-256, in hex, of the arrays' names, dtypes, shapes and content, the image shape and the number of classes."""
    digest = hashlib.sha256(f"{competition.image_shape} {competition.classes}".encode())
    if competition.channels > 1:
        digest.update(f"{competition.channels} channels".encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data if array.dtype.kind != "U" else array.tobytes())
    return digest.hexdigest()
