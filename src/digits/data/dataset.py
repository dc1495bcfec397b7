"""The arrays that every command after `make data` uses, saved to a folder and loaded from it."""

from dataclasses import dataclass
from mmap import MADV_DONTNEED, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.sealed import intact, read_json, sealed_folder, write_json

HOLDOUT, LEARNED = -1, -2  # in `folds`, in place of a fold's number
_ARRAYS = ("images", "labels", "folds", "test_images", "test_ids")


@dataclass(frozen=True)
class Dataset:
    """A competition's images, ready for fits.

    images: uint8 (n, height * width * channels), 0..255, the channels of a pixel together. labels: int64 (n,),
    0..classes-1. folds: int8 (n,), 0.., HOLDOUT, or LEARNED: an image that every model learns, and none is judged on.
    test_images: uint8 (m, height * width * channels). test_ids: int64 or text (m,), in the order of the sample.
    about: metadata, a JSON-like dictionary: slug, provenance, source, source_sha256, image_shape, channels, pixel_range
    (the values in the files that became 0 and 255), ink (see `ink.Ink`; None if the images are no ink), classes,
    class_values, class_names, hash, class_counts, repeated, shared_with_test, test_labels, notices. `hash` covers all
    arrays, the shape of an image and the number of classes: equal hashes mean equal data in equal folds.
    """

    folder: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    folds: NDArray[np.int8]
    test_images: NDArray[np.uint8]
    test_ids: NDArray[np.int64]
    about: dict[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of all arrays, in hex."""
        return str(self.about["hash"])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.about["classes"])

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.about["image_shape"]
        return height, width

    @property
    def channels(self) -> int:
        """Values per pixel."""
        return int(self.about["channels"])

    @property
    def class_values(self) -> list[int | str]:
        """Label of each class, as the files have it."""
        return list(self.about["class_values"])

    @property
    def class_names(self) -> list[str]:
        """Name of each class, for people: that of the params, else its label."""
        return list(self.about["class_names"])

    @property
    def test_labels(self) -> NDArray[np.int64] | None:
        """Classes of the test images, (m,), where the test file says them; no choice is made on them."""
        known = self.about["test_labels"]
        return None if known is None else np.array(known, dtype=np.int64)

    @property
    def size(self) -> str:
        """Height and width in words, as in 28x28; with the values per pixel if there are several, as in 28x28x3."""
        return "x".join(map(str, [*self.image_shape, *[self.channels] * (self.channels > 1)]))

    def shaped(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Some of the images, (n, height * width * channels), as (n, height, width, channels)."""
        return np.asarray(images).reshape(-1, *self.image_shape, self.channels)

    @property
    def practice(self) -> bool:
        """Whether these are practice images, whose scores mean nothing on Kaggle."""
        return bool(self.about["provenance"] == "practice")

    @property
    def fold_count(self) -> int:
        """Number of folds, without the holdout."""
        return int(self.folds.max()) + 1

    def train_rows(self, fold: int | None) -> NDArray[np.int64]:
        """Rows that the model of `fold` learns: all but that fold and the holdout. None, a refit: all rows."""
        if fold is None:
            return np.arange(len(self.folds))
        return np.flatnonzero((self.folds != fold) & (self.folds != HOLDOUT))

    def valid_rows(self, fold: int | None) -> NDArray[np.int64]:
        """Rows that the model of `fold` predicts out of fold. None, a refit: no rows."""
        if fold is None:
            return np.arange(0)
        return np.flatnonzero(self.folds == fold)

    @property
    def working_rows(self) -> NDArray[np.int64]:
        """Rows of all folds: every choice is made on them."""
        return np.flatnonzero(self.folds >= 0)

    @property
    def holdout_rows(self) -> NDArray[np.int64]:
        """Rows of the holdout: nothing is chosen on them."""
        return np.flatnonzero(self.folds == HOLDOUT)


def taken(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A copy of some images. The pages of a memory-mapped file that were read for it no longer count as memory.

    Otherwise rows from everywhere in the file would soon keep all of it in the memory of each fit.
    """
    part = np.asarray(images[rows])
    if isinstance(images.base, mmap):
        images.base.madvise(MADV_DONTNEED)
    return part


def save_dataset(folder: Path, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write the arrays and `about` of a `Dataset` to `folder`; a folder that exists is kept as it is."""
    with sealed_folder(folder) as temporary:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", arrays[name])
        write_json(temporary / "about.json", about)


def load_dataset(folder: Path) -> Dataset:
    """The arrays of `folder`, memory-mapped: processes that load the same folder share one copy.

    Raises UserError if there are none.
    """
    about = read_json(folder / "about.json")
    if about is None:
        raise UserError("the data is not prepared for these params; type: make data")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Dataset(folder=folder, about=about, **arrays)


def find_dataset(processed: Path, wanted: str) -> Dataset | None:
    """The data set with the hash `wanted`, also that of a sample of it, below `processed`; None if it is not there."""
    for path in processed.glob("[!.]*/about.json"):
        if (read_json(path) or {}).get("hash") == wanted.split("/", maxsplit=1)[0] and intact(path.parent):
            return load_dataset(path.parent)
    return None
