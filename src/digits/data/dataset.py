"""The arrays that every stage after `prepare` shares, in a folder named after their content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.files import atomic_folder, read_json, write_json

HOLDOUT = -1  # in place of a fold's number
_ARRAYS = ("images", "labels", "folds", "test_images", "test_ids")


@dataclass(frozen=True)
class Dataset:
    """A competition's images, ready to be fitted.

    images: uint8 (n, pixels), 0..255. labels: int64 (n,), 0..classes-1. folds: int8 (n,), 0.. or HOLDOUT.
    test_images: uint8 (m, pixels). test_ids: int64 (m,), in the order of the sample submission.
    about: what else is known, a JSON-like dictionary: slug, provenance, source, source_sha256, image_shape, classes,
    hash, class_counts, repeated, shared_with_test, notices. `hash` covers all arrays, the image shape and the number of
    classes: equal hashes are equal data in equal folds.
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
        """Hash of all arrays."""
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
    def practice(self) -> bool:
        """Whether these are practice images, whose scores mean nothing on Kaggle."""
        return bool(self.about["provenance"] == "practice")

    @property
    def fold_count(self) -> int:
        """Number of folds, the holdout not counted."""
        return int(self.folds.max()) + 1

    def train_rows(self, fold: int | None) -> NDArray[np.int64]:
        """Rows that the model of `fold` learns from: all but that fold and the holdout. None: every labelled image."""
        return np.flatnonzero((self.folds != fold) & (self.folds != HOLDOUT) | (fold is None))

    def valid_rows(self, fold: int | None) -> NDArray[np.int64]:
        """Rows that the model of `fold` predicts out of fold; none where it has learned from all."""
        return np.flatnonzero((self.folds == fold) & (fold is not None))

    @property
    def working_rows(self) -> NDArray[np.int64]:
        """Rows of all folds: what every choice is made on."""
        return np.flatnonzero(self.folds != HOLDOUT)

    @property
    def holdout_rows(self) -> NDArray[np.int64]:
        """Rows that nothing is chosen on."""
        return np.flatnonzero(self.folds == HOLDOUT)


def save_dataset(folder: Path, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write the arrays, named as in `Dataset`, and what is known about them."""
    with atomic_folder(folder) as temporary:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", arrays[name])
        write_json(temporary / "about.json", about)


def load_dataset(folder: Path) -> Dataset:
    """The arrays of `folder`, memory-mapped: processes that open the same folder share one copy."""
    about = read_json(folder / "about.json")
    if about is None:
        raise UserError(f"{folder}: there are no prepared arrays here; type: make data")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Dataset(folder=folder, about=about, **arrays)
