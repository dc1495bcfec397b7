"""Keras callbacks of a fit: validation, history, learning-rate plateau, early stopping."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits.evaluation.metrics import accuracy, log_loss
from digits.models.cnn.libraries import keras
from digits.models.cnn.optimization import Course

if TYPE_CHECKING:
    from digits.models.cnn.classifier import CnnClassifier

_VALIDATIONS = 5  # per fit at most, if nothing depends on them: each costs a twentieth of an epoch


def make_callbacks(
    classifier: CnnClassifier,
    epochs: int,
    schedule: Any,
    X_valid: NDArray[np.uint8] | None,
    y_valid: NDArray[np.int64] | None,
) -> list[keras.callbacks.Callback]:
    """Keras callbacks of one fit, in the order in which they must run.

    schedule: of `make_schedule`. Without validation images, `plateau` monitors the training loss. Raises ValueError
    if early_stopping_patience or restore_best_weights need validation images and there are none.
    """
    spec = classifier.spec
    plateau = spec["schedule"]["kind"] == "plateau"
    callbacks: list[keras.callbacks.Callback] = []
    stops = spec["restore_best_weights"] or spec["early_stopping_patience"] is not None
    validates = X_valid is not None and y_valid is not None
    if X_valid is not None and y_valid is not None:
        every = 1 if stops or plateau else -(-epochs // _VALIDATIONS)
        callbacks.append(_validation(classifier, X_valid, y_valid, range(epochs - 1, -1, -every)))
    elif stops:
        raise ValueError("early_stopping_patience and restore_best_weights need validation images, X_valid and y_valid")
    callbacks.append(_history(classifier, epochs, schedule))
    if plateau:
        options = {name: spec["schedule"][name] for name in ("factor", "patience")}
        loss = "valid_loss" if validates else "loss"
        callbacks.append(keras.callbacks.ReduceLROnPlateau(loss, mode="min", **options))
    if stops:
        patience = epochs if spec["early_stopping_patience"] is None else spec["early_stopping_patience"]
        options = {"patience": patience, "restore_best_weights": spec["restore_best_weights"]}
        callbacks.append(keras.callbacks.EarlyStopping("valid_loss", mode="min", **options))
    return callbacks


def _validation(
    classifier: CnnClassifier, X: NDArray[np.uint8], y: NDArray[np.int64], epochs: Collection[int]
) -> keras.callbacks.Callback:
    """Adds valid_loss (log loss in nats) and valid_accuracy, without TTA, to the logs of these epochs, from 0."""

    def validate(epoch: int, logs: dict[str, float]) -> None:
        if epoch in epochs:
            probabilities = classifier.probabilities(X)
            if np.isfinite(probabilities).all():
                logs["valid_loss"] = log_loss(probabilities, y)
                logs["valid_accuracy"] = accuracy(probabilities, y).value

    return keras.callbacks.LambdaCallback(on_epoch_end=validate)


def _history(classifier: CnnClassifier, epochs: int, schedule: Any) -> keras.callbacks.Callback:
    """Appends to the classifier's history_ and calls its on_epoch, which may end the fit, or its schedule, earlier."""
    planned = epochs

    def record(epoch: int, logs: dict[str, float]) -> None:
        nonlocal epochs
        model, done = classifier.model_, epoch + 1
        entry = logs | {"learning_rate": float(model.optimizer.learning_rate)}
        classifier.history_.append(entry)
        wanted = classifier.on_epoch(done, epochs, entry) if classifier.on_epoch else None
        if wanted is not None and done < epochs and wanted != epochs:
            epochs = min(max(wanted, done), planned)
            if isinstance(schedule, Course) and done < epochs:
                steps = int(model.optimizer.iterations)
                schedule.end_at(steps // done * epochs, steps)
        if done == epochs:
            model.stop_training = True

    return keras.callbacks.LambdaCallback(on_epoch_end=record)
