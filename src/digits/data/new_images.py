"""Reads images of other files than the competition's: a CSV with its columns, a picture, or a folder of pictures."""

import mimetypes
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from digits.common.errors import MisfitError, UserError
from digits.config import Competition
from digits.data.build import has_labels, known_classes
from digits.data.csv_header import read_header
from digits.data.csv_reader import OnBytes, ignore, read_table
from digits.data.ink import Ink
from digits.data.labels import Ids, ids
from digits.data.pictures import to_pixels
from digits.data.pixels import to_bytes

_READ = {".png", ".jpg", ".jpeg"}
_JPEG_SIDE = 1024  # pixels; a JPEG with twice or four times as many is read at half or a quarter of its size
_FAULTS = 5  # pictures that are named in a message


@dataclass(frozen=True)
class NewImages:
    """Images to label, uint8 (n, height * width * channels), as `Dataset` has them.

    ids: (n,). labels: classes, (n,), where the file says them. notices: about what is unusual but harmless.
    """

    ids: Ids
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    notices: tuple[str, ...] = ()


def find_pictures(path: Path) -> list[Path]:
    """The pictures that `path` names, in natural order of their names; none where it is a table.

    Raises UserError if there is no such file, or no picture in the folder.
    """
    if not path.exists():
        raise UserError(f"there is no file {path}; give a CSV, a PNG, a JPEG or a folder: make predict FILE=new.csv")
    if not path.is_dir():
        return [path] if (mimetypes.guess_type(path.name)[0] or "").startswith("image/") else []
    found = [each for each in path.iterdir() if each.suffix.lower() in _READ and not each.name.startswith(".")]
    if not found:
        raise UserError(f"{path}: no PNG or JPEG is in this folder; name a CSV itself: make predict FILE=new.csv")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[str | int]:
    """Sorts 9.png before 10.png."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", path.name))]


def read_pictures(
    paths: Sequence[Path], about: dict[str, Any], on_picture: Callable[[], None] = lambda: None
) -> NewImages:
    """Images made of pictures; their ids are the names. about: of the blend's data set, see `Dataset`.

    Raises UserError with the pictures that cannot be used, and why.
    """
    height, width = about["image_shape"]
    if about["channels"] == 2:
        raise UserError(f"{paths[0].name}: no picture has 2 values per pixel, as these images do; give a CSV")
    ink = about.get("ink") and Ink(**about["ink"])
    images, faults = np.zeros((len(paths), height * width * about["channels"]), np.uint8), list[str]()
    for image, path in zip(images, paths, strict=True):
        try:
            image[:] = _read(path, lambda picture: to_pixels(picture, (height, width), about["channels"], ink))
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds for damaged files
            faults.append(f"{_text(path.name)}: {_cause(error)}")
        on_picture()
    if faults:
        more = [f"{len(faults) - _FAULTS:,} more pictures cannot be used"] * (len(faults) > _FAULTS)
        raise UserError("\n".join([*faults[:_FAULTS], *more]))
    return NewImages(np.array([_text(path.name) for path in paths]), images)


def _read(path: Path, use: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            picture.draft(None, (_JPEG_SIDE, _JPEG_SIDE))
            return use(picture)


def _text(name: str) -> str:
    """A name of a file as text; it need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _cause(error: Exception) -> str:
    """Why a picture cannot be used, and what to do."""
    if isinstance(error, UnidentifiedImageError):
        return "this is no PNG or JPEG; save it as one"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"it has more than {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels; save it in a smaller size"
    return f"it cannot be used: {' '.join(str(error).split())}; take it out, or save it again as a PNG"


def read_csv(path: Path, competition: Competition, about: dict[str, Any], on_bytes: OnBytes = ignore) -> NewImages:
    """Images of a CSV with the columns of the test file or of the training file; about: see `Dataset`.

    The ids are those of its column of ids, else first_id and up. Raises UserError with every fault of the file.
    """
    name = path.name
    with path.open("rb") as file:
        columns = read_header(file, name).names
    given = next((each for each in (competition.test_id_column, competition.train_id_column) if each in columns), None)
    try:
        kept = [str(competition.label_column)] * has_labels(path, competition) + [given] * bool(given)
        known = [*competition.label_columns, competition.test_id_column or "", competition.train_id_column or ""]
        table = read_table(path, competition, [*filter(None, kept)], known, ("", None), on_bytes)
    except MisfitError as misfit:
        needed = (
            f"a file of images to label needs the columns of {competition.test_name}, with or without ids and labels"
        )
        raise UserError(f"{misfit}\n{needed}") from None
    images, outside = to_bytes(table.values, tuple(about["pixel_range"]), competition)
    notices, (low, high) = [*table.notices], about["pixel_range"]
    if outside:
        notices.append(
            f"WARNING: {name}: {outside:,} pixels are outside {low:g} to {high:g}, the range of the training images, "
            "and are moved there"
        )
    elif table.values.max() <= 1 < high:
        notices.append(f"WARNING: {name}: no pixel is above 1, but those of the training images run to {high:g}")
    texts = table.texts.get(str(competition.label_column))
    classes = None if texts is None else known_classes(texts, about["class_values"])
    numbers = np.arange(competition.first_id, competition.first_id + len(images))
    return NewImages(
        ids(table.texts[given], name) if given else numbers,
        images,
        None if classes is None else np.array(classes),
        tuple(notices),
    )
