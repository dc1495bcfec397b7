"""Keras callbacks of a fit: validation, history, learning-rate plateau, early stopping."""

from __future__ import annotations

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
        callbacks.append(_Validate(classifier, X_valid, y_valid, [*range(epochs - 1, -1, -every)]))
    elif stops:
        raise ValueError("early_stopping_patience and restore_best_weights need validation images, X_valid and y_valid")
    callbacks.append(_RecordHistory(classifier, epochs, schedule))
    if plateau:
        options = {name: spec["schedule"][name] for name in ("factor", "patience")}
        loss = "valid_loss" if validates else "loss"
        callbacks.append(keras.callbacks.ReduceLROnPlateau(loss, mode="min", **options))
    if stops:
        patience = epochs if spec["early_stopping_patience"] is None else spec["early_stopping_patience"]
        options = {"patience": patience, "restore_best_weights": spec["restore_best_weights"]}
        callbacks.append(keras.callbacks.EarlyStopping("valid_loss", mode="min", **options))
    return callbacks


class _Validate(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds valid_loss (log loss in nats) and valid_accuracy to the logs of some epochs, counted from 0."""

    def __init__(self, classifier: CnnClassifier, X: NDArray[np.uint8], y: NDArray[np.int64], epochs: list[int]):
        super().__init__()
        self.classifier = classifier
        self.epochs = epochs
        self.images = X
        self.labels = y

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Predict all validation images, without TTA."""
        if epoch not in self.epochs:
            return
        probabilities = self.classifier.probabilities(self.images)
        if np.isfinite(probabilities).all():
            logs["valid_loss"] = log_loss(probabilities, self.labels)
            logs["valid_accuracy"] = accuracy(probabilities, self.labels).value


class _RecordHistory(keras.callbacks.Callback):  # type: ignore[misc]
    """Appends to the classifier's history_ and calls its on_epoch, which may shorten the fit."""

    def __init__(self, classifier: CnnClassifier, epochs: int, schedule: Any):
        super().__init__()
        self.classifier = classifier
        self.planned = self.epochs = epochs
        self.schedule = schedule

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Record the logs and the learning rate; end the fit, or let its schedule end earlier, if on_epoch says so."""
        record = logs | {"learning_rate": float(self.model.optimizer.learning_rate)}
        self.classifier.history_.append(record)
        done = epoch + 1
        wanted = self.classifier.on_epoch(done, self.epochs, record) if self.classifier.on_epoch else None
        if wanted is not None and done < self.epochs and wanted != self.epochs:
            self.epochs = min(max(wanted, done), self.planned)
            if isinstance(self.schedule, Course) and done < self.epochs:
                steps = int(self.model.optimizer.iterations)
                self.schedule.end_at(steps // done * self.epochs, steps)
        if done == self.epochs:
            self.model.stop_training = True
