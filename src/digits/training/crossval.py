"""One model on one fold: fit, then predict its validation part, the holdout and the test images."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.data.dataset import Dataset, taken
from digits.models import FAMILIES, KINDS_WITH_VALIDATION, Classifier, OnEpoch, TaskSpec, Within, build, stopwatch

_IMPORTED_BY_FITS = ("digits.training.crossval", "scipy.optimize", "scipy.stats", "sklearn.metrics")


def preload(*kinds: str) -> tuple[str, ...]:
    """Modules that fits of these kinds of models import, for the server that subprocesses are forked from.

    A subprocess starts 2 s sooner if the server has imported them.
    """
    return (*dict.fromkeys(FAMILIES[kind] for kind in kinds), *_IMPORTED_BY_FITS)


@dataclass(frozen=True)
class Predictions:
    """Probabilities of a fold's validation part, the holdout and the test images, float32 (rows, classes) each."""

    valid: NDArray[np.float32]
    holdout: NDArray[np.float32]
    test: NDArray[np.float32]


@dataclass(frozen=True)
class FoldFit:
    """A fitted model, and its predictions of images that it was not trained on.

    processor_seconds: of all threads together, for the fit and the predictions.
    """

    model: Classifier
    predictions: Predictions
    fit_seconds: float
    predict_seconds: float
    processor_seconds: float


def fit(
    data: Dataset, fold: int | None, spec: dict[str, Any], normalise: str, seed: int, on_epoch: OnEpoch | None = None
) -> Classifier:
    """A model of `spec`, fitted on all images except `fold` and the holdout; fold None: on all labelled images.

    Networks are validated on the fold's valid part after some epochs, for their history. This changes the fit only if
    params.yaml asks for it (early_stopping_patience, restore_best_weights, the schedule plateau).
    """
    return fit_on(data, data.train_rows(fold), data.valid_rows(fold), spec, normalise, seed, on_epoch)


def fit_on(
    data: Dataset,
    rows: NDArray[np.int64],
    valid: NDArray[np.int64],
    spec: dict[str, Any],
    normalise: str,
    seed: int,
    on_epoch: OnEpoch | None = None,
    start: Path | None = None,
    within: Within | None = None,
) -> Classifier:
    """As `fit`, but on the labelled images of `rows`, validated on those of `valid` if there are any.

    start: folder of a saved network with the same layers; the fit starts from its weights. within: length of a
    network's or an MLP's fit in place of its epochs.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - commands that fit nothing need not wait

    model = build(spec, TaskSpec(data.image_shape, data.classes, normalise, data.channels), seed, on_epoch)
    options: dict[str, Any] = {}
    if spec["kind"] in KINDS_WITH_VALIDATION:
        watched = {"X_valid": taken(data.images, valid), "y_valid": data.labels[valid]} if len(valid) else {}
        options = {"start": start, "within": within, **watched}
    elif within:
        clock = stopwatch(processor=True)  # these fits have one thread
        options = {"classifier__seconds_left": lambda: within.seconds - clock()}
    with warnings.catch_warnings():
        # the limit on iterations is a budget here, so reaching it is not a fault
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(taken(data.images, rows), data.labels[rows], **options)
    return model


def fit_fold(
    data: Dataset, fold: int | None, spec: dict[str, Any], normalise: str, seed: int, on_epoch: OnEpoch | None = None
) -> FoldFit:
    """Fit as `fit` does, then predict what later stages need: only images that the model was not trained on."""
    started, used = perf_counter(), process_time()
    model = fit(data, fold, spec, normalise, seed, on_epoch)
    fitted = perf_counter()
    held = data.holdout_rows[: None if fold is not None else 0]
    parts = (taken(data.images, data.valid_rows(fold)), taken(data.images, held), data.test_images)
    predictions = Predictions(*(model.predict_proba(part).astype(np.float32) for part in parts))
    return FoldFit(model, predictions, fitted - started, perf_counter() - fitted, process_time() - used)


def rows_of(data: Dataset, folds: Iterable[int]) -> NDArray[np.int64]:
    """Rows of the labelled images of these folds, ascending; int64 (rows,)."""
    return np.flatnonzero(np.isin(data.folds, list(folds)))


def assemble(data: Dataset, valid: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Out-of-fold probabilities, (rows of these folds, classes), in order, from each fold's validation part.

    Raises ValueError if a fold has more or fewer probabilities than rows.
    """
    result = np.full((len(data.images), data.classes), np.nan, dtype=np.float32)
    for fold, probabilities in valid.items():
        rows = data.valid_rows(fold)
        if len(rows) != len(probabilities):
            raise ValueError(f"fold {fold} has {len(rows)} rows, but {len(probabilities)} predictions")
        result[rows] = probabilities
    return result[rows_of(data, valid)]
