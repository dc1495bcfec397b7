"""The split of the labelled images into stratified folds and a holdout."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from digits.common.errors import UserError
from digits.data.dataset import HOLDOUT, LEARNED

_UNASSIGNED = -3


def assign_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int, folds: int, holdout: float, seed: int
) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    """The fold, 0..folds-1, HOLDOUT or LEARNED, of every labelled image, (n,), and notices.

    labels, groups: (n,). groups: for each image the row of the first image that equals it; equal images get the same
    fold. holdout: share of the images. Folds and holdout are stratified by class, and the holdout has an image of each
    class. A class that is too small for that is learned first: its images are spread over the folds, and a single one
    is in no fold, so that every model learns from it. Raises UserError if all classes are too small.
    """
    leaders = np.flatnonzero(groups == np.arange(len(groups)))
    counts = np.bincount(labels[leaders], minlength=classes)
    rare = (counts * (1 - holdout)).astype(int) < folds
    common = leaders[~rare[labels[leaders]]]
    each = int((~rare).sum())  # the holdout has at least one image of each of these classes
    share = holdout if np.ceil(len(common) * holdout) >= each else each
    if len(common) <= len(leaders) / 2:
        largest = int(counts.max() * (1 - holdout))
        raise UserError(
            f"half of the images belong to classes that are too small for {folds} folds and a holdout of {holdout:.0%}"
            f": the smallest has {counts[counts > 0].min()} different images; "
            + ('use fewer folds: SET="data.folds=2"' if folds > 2 <= largest else "every class needs three or more")
        )
    assigned = np.full(len(labels), _UNASSIGNED, dtype=np.int8)
    shuffle = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    working, held_out = next(shuffle.split(common, labels[common]))
    assigned[common[held_out]] = HOLDOUT
    working = common[np.sort(working)]
    splits = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed).split(working, labels[working])
    for fold, (_, valid) in enumerate(splits):
        assigned[working[valid]] = fold
    generator = np.random.default_rng(seed)
    for number in np.flatnonzero(rare & (counts > 0)):
        rows = generator.permutation(leaders[labels[leaders] == number])
        assigned[rows] = LEARNED if len(rows) == 1 else (np.arange(len(rows)) + generator.integers(folds)) % folds
    assigned = assigned[groups]  # equal images get the fold of the first one
    assert set(np.unique(assigned)) <= {LEARNED, HOLDOUT, *range(folds)}, "folds and holdout do not partition the rows"
    notices = []
    if rare.any():
        single = int((counts == 1).sum())
        notices.append(
            f"{rare.sum()} classes have too few images for {folds} folds and a holdout: none of them is in the holdout"
            + (f", and {single} with one image are learned but never judged" if single else "")
        )
    if share != holdout:
        notices.append(
            f"a holdout of {holdout:.1%} cannot hold all classes: it has {each} images, one of each class, or "
            f"{each / len(leaders):.1%}"
        )
    return assigned, tuple(notices)
