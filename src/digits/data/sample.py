"""A share of a data set's labelled images, for fits that would take too long on all of them."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.data.dataset import Dataset

_LEFT_OUT = -3  # in `folds`, in place of a fold's number


@dataclass(frozen=True)
class Sample(Dataset):
    """A data set without the labelled images that have _LEFT_OUT in `folds`; rows are still those of all images."""

    def train_rows(self, fold: int | None) -> NDArray[np.int64]:
        """As in a data set, but only rows that are not left out."""
        rows: NDArray[np.int64] = super().train_rows(fold)
        learned: NDArray[np.int64] = rows[self.folds[rows] != _LEFT_OUT]
        return learned


def sampled(data: Dataset, one_in: int, seed: int) -> Dataset:
    """One in so many labelled images, drawn at random, and all test images; one in 1: the data set itself.

    The hash does not tell the seed: a run has a seed, and each refit of it another one, so each learns other images.
    """
    if one_in == 1:
        return data
    drawn = np.random.default_rng(seed).permutation(len(data.folds))[: len(data.folds) // one_in]
    folds = np.full(len(data.folds), _LEFT_OUT, data.folds.dtype)
    folds[drawn] = data.folds[drawn]
    about = data.about | {"hash": f"{data.hash}/{one_in}/{code_version('sample')}"}
    same = {field.name: getattr(data, field.name) for field in fields(Dataset)}
    return Sample(**same | {"folds": folds, "about": about})


def with_hash(data: Dataset, name: str, seed: int) -> Dataset | None:
    """The data set, or the sample of it by this seed, whose hash is `name`; None if other data or code made it."""
    one_in = int(name.split("/")[1]) if name.startswith(f"{data.hash}/") else 1
    found = sampled(data, one_in, seed)
    return found if found.hash == name else None
