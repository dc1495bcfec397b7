"""The images of one CSV with the columns of a competition's files, for notebooks and programs."""

import warnings
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Competition, load_params
from digits.data.build import label_texts, train_columns
from digits.data.csv_header import read_header
from digits.data.csv_reader import Table, read_table
from digits.data.labels import different_labels, largest_of
from digits.data.pixels import pixel_range as range_of
from digits.data.pixels import to_bytes

Labels = NDArray[np.int64] | NDArray[np.str_]


class Images(NamedTuple):
    """The content of a file.

    images: uint8 (n, height, width), in colour (n, height, width, channels), 0 to 255. labels: (n,), as the file has
    them, int64 if all are whole numbers, else text; None if the file has none.
    """

    images: NDArray[np.uint8]
    labels: Labels | None


def read(
    csv: str | PathLike[str],
    params: str | PathLike[str] = "params.yaml",
    pixel_range: tuple[float, float] | None = None,
) -> Images:
    """The images of a CSV with the columns of the competition's files, read and checked as by `make data`.

    params: the file whose section `competition` describes the columns. pixel_range: values that become 0 and 255, in
    place of competition.pixel_range; None for both: what the file shows. Notices are warnings. Raises UserError with
    the place of every fault.
    """
    path, competition = Path(csv), load_params(Path(params)).competition
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    competition = competition.model_copy(update={"pixel_range": pixel_range or competition.pixel_range})
    labelled = _label_columns(path, competition)
    known = [column for column in (competition.train_id_column, competition.test_id_column) if column]
    table = read_table(path, competition, labelled, known, ("", None))
    limits, notices = range_of(table, competition, path.name)
    for notice in (*table.notices, *notices):
        warnings.warn(notice, stacklevel=2)
    images, _ = to_bytes(table.values, limits, competition)
    labels = _labels(table, competition, path) if labelled else None
    return Images(shaped(images, competition.image_shape, competition.channels), labels)


def _label_columns(path: Path, competition: Competition) -> list[str]:
    """Columns that the labels follow from; none if the file has no labels."""
    with path.open("rb") as file:
        header = read_header(file, path.name)
    wanted = train_columns(competition)
    # names of columns without a header are positions, that of the label may be a pixel's
    more = header.named or len(header.names) > competition.pixels
    own = competition.labels_file is None or path.name == competition.train_file
    return wanted if more and own and {*wanted} <= {*header.names} else []


def _labels(table: Table, competition: Competition, path: Path) -> Labels:
    """Labels, (n,), of the file, or of that of the labels beside it."""
    if not isinstance(competition.label_column, str):
        columns = competition.label_column
        return np.array(columns)[largest_of([table.texts[column] for column in columns], columns, path.name)]
    found, places = np.unique(label_texts(table, competition, path.parent), return_inverse=True)
    return np.array([different_labels(found[[each]])[0] for each in range(len(found))])[places]


def shaped(images: NDArray[np.uint8], shape: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Images, (n, height * width * channels), as (n, height, width), or (n, height, width, channels) if in colour."""
    return np.asarray(images).reshape(-1, *shape, *[channels] * (channels > 1))
