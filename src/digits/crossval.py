"""One model on one fold: fit, then predict its validation part, the holdout and the test images."""

import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.models import WATCHING, Classifier, OnEpoch, Setting, build
from digits.prepared import Prepared


@dataclass(frozen=True)
class FoldFit:
    """A model fitted on one fold's training part, and its probabilities, float32 (rows, classes) each."""

    model: Classifier
    valid: NDArray[np.float32]
    holdout: NDArray[np.float32]
    test: NDArray[np.float32]
    fit_seconds: float
    predict_seconds: float


def fit(
    data: Prepared,
    fold: int,
    spec: dict[str, Any],
    normalise: str,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Classifier:
    """A model of `spec`, fitted on all images but those of `fold` and the holdout.

    Networks look at the fold's valid part after some epochs, for their history; only where params.yaml asks for it
    (patience, keep_best, the schedule plateau) does what they see there change anything.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - commands with nothing to fit need not wait

    rows, valid = data.train_rows(fold), data.valid_rows(fold)
    model = build(spec, Setting(data.image_shape, data.classes, normalise), seed, on_epoch)
    watched = {"X_valid": data.images[valid], "y_valid": data.labels[valid]} if spec["kind"] in WATCHING else {}
    with warnings.catch_warnings():
        # a limit on iterations is a budget here, and using it up no news
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.images[rows], data.labels[rows], **watched)
    return model


def fit_fold(
    data: Prepared,
    fold: int,
    spec: dict[str, Any],
    normalise: str,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> FoldFit:
    """Fit as `fit` does and predict everything that later stages may ask for."""
    started = perf_counter()
    model = fit(data, fold, spec, normalise, seed, on_epoch)
    fitted = perf_counter()
    parts = (data.images[data.valid_rows(fold)], data.images[data.holdout_rows], data.test_images)
    valid, holdout, test = (model.predict_proba(part).astype(np.float32) for part in parts)
    return FoldFit(model, valid, holdout, test, fitted - started, perf_counter() - fitted)


def assemble(data: Prepared, valid: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Out-of-fold probabilities, (working rows, classes), from each fold's validation part.

    Raises ValueError unless every working row is written exactly once.
    """
    working = data.working_rows
    place = np.full(len(data.images), -1)
    place[working] = np.arange(len(working))
    result = np.full((len(working), data.classes), np.nan, dtype=np.float32)
    for fold, probabilities in enumerate(valid):
        rows = place[data.valid_rows(fold)]
        if (rows < 0).any() or not np.isnan(result[rows]).all():
            raise ValueError(f"fold {fold} writes rows of the holdout or of another fold")
        result[rows] = probabilities
    if np.isnan(result).any():
        raise ValueError("some rows were predicted by no fold")
    return result
