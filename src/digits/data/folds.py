"""The split of the labelled images into stratified folds and a holdout."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from digits.common.errors import UserError
from digits.data.dataset import HOLDOUT

_UNASSIGNED = -2


def assign_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int, folds: int, holdout: float, seed: int
) -> NDArray[np.int8]:
    """The fold, 0..folds-1 or HOLDOUT, of every labelled image; (n,).

    labels, groups: (n,). groups: for each image the row of the first image that equals it; equal images get the same
    fold. holdout: share of the images. Folds and holdout are stratified by class. Raises UserError if a class is too
    small to occur in every fold and in the holdout.
    """
    leaders = np.flatnonzero(groups == np.arange(len(groups)))
    counts = np.bincount(labels[leaders], minlength=classes)
    smallest = int(counts.argmin())
    if not counts[smallest]:
        raise UserError(
            f"class {smallest} has no image in the training file: every label from 0 to {classes - 1} must occur; "
            'if there are fewer classes, add SET="competition.classes=..."'
        )
    kept = int(counts[smallest] * (1 - holdout))
    if kept < folds:
        raise UserError(
            f"class {smallest} has {counts[smallest]} different images, too few for {folds} folds and a holdout of "
            f"{holdout:.0%}; "
            + (f'use fewer folds: SET="data.folds={kept}"' if kept > 1 else "remove this class from the training file")
        )
    if np.ceil(len(leaders) * holdout) < classes:
        raise UserError(
            f"a holdout of {holdout:.1%} of {len(leaders)} images cannot hold all {classes} classes; raise data.holdout"
        )
    assigned = np.full(len(labels), _UNASSIGNED, dtype=np.int8)
    shuffle = StratifiedShuffleSplit(n_splits=1, test_size=holdout, random_state=seed)
    working, held_out = next(shuffle.split(leaders, labels[leaders]))
    assigned[leaders[held_out]] = HOLDOUT
    working = leaders[np.sort(working)]
    splits = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed).split(working, labels[working])
    for fold, (_, valid) in enumerate(splits):
        assigned[working[valid]] = fold
    assigned = assigned[groups]  # equal images get the fold of the first one
    _check(assigned, labels, groups, classes, folds)
    return assigned


def _check(
    assigned: NDArray[np.int8], labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int, folds: int
) -> None:
    """Assert what `assign_folds` promises. Raises UserError if a class is missing from a fold or the holdout."""
    assert set(np.unique(assigned)) == {HOLDOUT, *range(folds)}, "folds and holdout do not partition the rows"
    assert np.array_equal(assigned, assigned[groups]), "equal images are in two parts"
    for part in range(HOLDOUT, folds):
        missing = np.setdiff1d(np.arange(classes), labels[assigned == part])
        if len(missing):
            where = "the holdout" if part == HOLDOUT else f"fold {part}"
            raise UserError(f"class {missing[0]} would be missing from {where}; lower data.folds or raise data.holdout")
