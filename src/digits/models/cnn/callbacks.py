"""What happens after each epoch of a fit: looking at images kept aside, telling, stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits.evaluation.metrics import accuracy, log_loss
from digits.models.cnn.libraries import keras

if TYPE_CHECKING:
    from digits.models.cnn.classifier import CnnClassifier

_LOOKS = 5  # at images kept aside, at most, where nothing follows from them: each costs a twentieth of an epoch


def callbacks(
    classifier: CnnClassifier, epochs: int, X_valid: NDArray[np.uint8] | None, y_valid: NDArray[np.int64] | None
) -> list[keras.callbacks.Callback]:
    """Keras callbacks for one fit, in the order in which they must run.

    A plateau is one of the loss in training where there are no images to look at. Raises ValueError where the
    classifier's other parameters need some.
    """
    plateau = classifier.schedule["kind"] == "plateau"
    made: list[keras.callbacks.Callback] = []
    stops = classifier.restore_best_weights or classifier.early_stopping_patience is not None
    looks = X_valid is not None and y_valid is not None
    if X_valid is not None and y_valid is not None:
        every = 1 if stops or plateau else -(-epochs // _LOOKS)
        made.append(_Validate(classifier, X_valid, y_valid, [*range(epochs - 1, -1, -every)]))
    elif stops:
        raise ValueError("patience and restore_best_weights need images to look at after each epoch")
    made.append(_Watch(classifier, epochs))
    if plateau:
        made.append(
            keras.callbacks.ReduceLROnPlateau(
                "valid_loss" if looks else "loss",
                factor=classifier.schedule["factor"],
                patience=classifier.schedule["patience"],
                mode="min",
            )
        )
    if stops:
        made.append(
            keras.callbacks.EarlyStopping(
                "valid_loss",
                patience=epochs if classifier.early_stopping_patience is None else classifier.early_stopping_patience,
                restore_best_weights=classifier.restore_best_weights,
                mode="min",
            )
        )
    return made


class _Validate(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds valid_loss (log loss in nats) and valid_accuracy to what the later callbacks see of some epochs."""

    def __init__(self, classifier: CnnClassifier, X: NDArray[np.uint8], y: NDArray[np.int64], epochs: list[int]):
        super().__init__()
        self.classifier = classifier
        self.epochs = epochs
        self.images = X
        self.labels = y

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Predict all images."""
        if epoch not in self.epochs:
            return
        probabilities = self.classifier.probabilities(self.images)
        if np.isfinite(probabilities).all():
            logs["valid_loss"] = log_loss(probabilities, self.labels)
            logs["valid_accuracy"] = accuracy(probabilities, self.labels).value


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history and tells who wants to know."""

    def __init__(self, classifier: CnnClassifier, epochs: int):
        super().__init__()
        self.classifier = classifier
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note loss, accuracy and learning rate."""
        record = logs | {"learning_rate": float(self.model.optimizer.learning_rate)}
        self.classifier.history_.append(record)
        if self.classifier.on_epoch:
            self.classifier.on_epoch(epoch + 1, self.epochs, record)
