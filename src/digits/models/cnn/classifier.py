"""Keras networks as scikit-learn classifiers: one training loop for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from digits.common.logs import log
from digits.evaluation.calibration import at_temperature, best_temperature
from digits.models import OnEpoch, TaskSpec, Within, stopwatch
from digits.models.architecture import parse_layers
from digits.models.augmentation import transform_images
from digits.models.cnn.batches import Batches
from digits.models.cnn.callbacks import make_callbacks
from digits.models.cnn.in_time import MOST, in_time
from digits.models.cnn.libraries import keras, set_threads, tf
from digits.models.cnn.loop import train
from digits.models.cnn.network import LayerSettings, build_network
from digits.models.cnn.optimization import make_optimizer, make_schedule
from digits.models.preprocessing import Normaliser

_CALIBRATION_IMAGES = 4000  # of the training set; with new augmentation they are as hard for the network as new images
_WEIGHTS, _SCALES = "model.weights.h5", "scales.npz"
# TTA is left out where a class has this probability. Three digits of a hundred are less sure. The errors are as few as
# with TTA for all images, the log loss is lower (docs/experiments/test-time-augmentation.md).
_SURE = 0.997
PREDICT_BATCH = 1000  # images; large enough to keep two cores busy, small enough for the caches


@dataclass(eq=False, repr=False)
class CnnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network as a scikit-learn classifier.

    spec: the parameters of params.yaml's `train`, with a value for every `auto`. Images are uint8 (n, height * width *
    channels), channels last. Labels are integers from 0 to classes - 1. The same parameters, data and random_state give
    the same bits on the same machine, whatever was fitted before in the process.

    Fitted: model_ (keras.Model), normaliser_, history_ (one dictionary per epoch: loss, accuracy, learning_rate, and
    valid_loss, valid_accuracy after epochs with validation), temperature_ (of evaluation.calibration, fitted on
    augmented training images), images_seen_ (in all steps together) and step_seconds_ (time of the training steps
    alone; see digits.models.cnn.loop).
    """

    spec: dict[str, Any]
    task: TaskSpec
    random_state: int
    on_epoch: OnEpoch | None = None

    def fit(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        X_valid: NDArray[np.uint8] | None = None,
        y_valid: NDArray[np.int64] | None = None,
        start: Path | None = None,
        within: Within | None = None,
    ) -> Self:
        """Train from new weights, or from those that `save` has written to the folder `start` for the same layers.

        X_valid, y_valid: validation images, predicted after some epochs, and after each epoch if
        `early_stopping_patience`, `restore_best_weights` or the schedule `plateau` depend on it. within: the fit ends
        after so much time, in place of `epochs` and `min_steps`, and its temperature stays 1. Raises DivergedError if
        the loss is not finite, ValueError if early stopping has no validation images.
        """
        spec, task = self.spec, self.task
        clock = stopwatch(processor=spec["threads"] == 1 and not tf.config.list_physical_devices("GPU"))
        set_threads(spec["threads"])
        keras.backend.clear_session()  # frees the networks fitted before and restarts Keras' name counters
        keras.utils.set_random_seed(self.random_state)
        tf.config.experimental.enable_op_determinism()
        self.classes_ = np.arange(task.classes)
        self.normaliser_ = Normaliser(task.normalise).fit(X)
        self.history_: list[dict[str, float]] = []
        self.temperature_ = 1.0  # of validation; fitted after training
        batches = Batches(
            images=np.asarray(X),
            labels=np.asarray(y),
            normaliser=self.normaliser_,
            image_shape=task.image_shape,
            channels=task.channels,
            classes=task.classes,
            augment=spec["augment"],
            batch_size=min(spec["batch_size"], len(X)),
            seed=self.random_state,
        )
        epochs = max(spec["epochs"], -(-spec["min_steps"] // batches.steps_per_epoch))
        steps = epochs * batches.steps_per_epoch
        if within:
            steps = max(1, within.images // batches.batch_size)
            epochs = -(-MOST * steps // batches.steps_per_epoch)
        jit_compile = spec["jit_compile"]
        self.model_ = _network(spec, task, jit_compile)
        if start is not None:
            self.model_.load_weights(start / _WEIGHTS)
        self.model_.summary(line_length=100, print_fn=lambda table: log.info("the network:\n%s", table))
        schedule = make_schedule(spec["schedule"], spec["learning_rate"], steps)
        limits = {name: spec[name] for name in ("weight_decay", "clipnorm", "clipvalue")}
        optimizer = make_optimizer(spec["optimizer"], schedule, **limits)
        stream = batches.stream(epochs)
        if within:
            last = self.model_.trainable_variables[-1]
            stream = in_time(stream, batches.chunk, within.seconds, schedule, last.numpy, clock)
        self.step_seconds_ = train(
            self.model_,
            optimizer,
            stream,
            batches.steps_per_epoch,
            label_smoothing=spec["label_smoothing"],
            callbacks=make_callbacks(self, epochs, schedule, X_valid, y_valid),
            jit_compile=jit_compile,
        )
        self.images_seen_ = int(optimizer.iterations) * batches.batch_size
        if not within:
            images, labels = batches.sample(_CALIBRATION_IMAGES)
            self.temperature_ = best_temperature(self._predict(images), labels)
        return self

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, (n, classes) float32.

        TTA (test-time augmentation): an image that the network is unsure of, because no class has a probability of
        _SURE, gets the mean probabilities of itself and its `tta` copies.
        """
        probabilities = self.probabilities(X)
        if self.spec["tta"]:
            unsure = np.flatnonzero(probabilities.max(axis=1) < _SURE)
            probabilities[unsure] = self.probabilities(np.asarray(X)[unsure], [{}, *self.spec["tta"]])
        return probabilities

    def probabilities(self, X: NDArray[np.uint8], transforms: Sequence[dict[str, Any]] = ({},)) -> NDArray[np.float32]:
        """Mean probabilities over these transforms of an image, {} being the image itself; (n, classes) float32."""
        return at_temperature(self._predict_transforms(X, transforms).mean(axis=0), self.temperature_)

    def _predict_transforms(self, X: NDArray[np.uint8], transforms: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Probabilities at temperature 1, (transforms, n, classes)."""
        probabilities = np.empty((len(transforms), len(X), self.task.classes), np.float32)
        for first in range(0, len(X), PREDICT_BATCH):
            images = np.asarray(X[first : first + PREDICT_BATCH]).reshape(
                -1, *self.task.image_shape, self.task.channels
            )
            for number, transform in enumerate(transforms):
                transformed = transform_images(images, **transform) if transform else images
                normalised = self.normaliser_.transform(transformed.reshape(len(images), -1))
                probabilities[number, first : first + PREDICT_BATCH] = self._predict(normalised)
        return probabilities

    def _predict(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities at temperature 1, (n, classes), of normalised images, (n, ...)."""
        shape = (*self.task.image_shape, self.task.channels)
        padded = np.zeros((PREDICT_BATCH, *shape), np.float32)  # a partial batch would be traced again
        probabilities = []
        for first in range(0, len(normalised), PREDICT_BATCH):
            part = normalised[first : first + PREDICT_BATCH]
            padded[: len(part)] = part.reshape(-1, *shape)
            probabilities.append(tf.nn.softmax(self.model_.predict_on_batch(padded)[: len(part)]).numpy())
        return np.concatenate(probabilities)


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> CnnClassifier:
    """An unfitted network."""
    return CnnClassifier(spec, task, seed, on_epoch)


def _network(spec: dict[str, Any], task: TaskSpec, jit_compile: bool = False) -> keras.Sequential:
    """The network of a spec, with new weights; without jit_compile, of Keras' own layers for pooling."""
    values = {**spec, "jit_compile": jit_compile}
    settings = LayerSettings(**{field.name: values[field.name] for field in fields(LayerSettings)})
    return build_network(parse_layers(spec["layers"]), settings, task.image_shape, task.classes, task.channels)


def save(model: CnnClassifier, folder: Path) -> None:
    """Write weights, normalisation and temperature; together with the run's params they rebuild the model."""
    model.model_.save_weights(folder / _WEIGHTS)
    normaliser = model.normaliser_
    np.savez(folder / _SCALES, offset=normaliser.offset_, scale=normaliser.scale_, temperature=model.temperature_)


def load(spec: dict[str, Any], task: TaskSpec, folder: Path) -> CnnClassifier:
    """The fitted network that `save` has written; it can predict, and has no history."""
    set_threads(spec["threads"])
    tf.config.experimental.enable_op_determinism()
    model = CnnClassifier(spec, task, 0)
    model.classes_ = np.arange(task.classes)
    model.normaliser_ = Normaliser(task.normalise)
    with np.load(folder / _SCALES) as scales:
        model.normaliser_.offset_, model.normaliser_.scale_ = scales["offset"], scales["scale"]
        model.temperature_ = float(scales["temperature"])
    model.model_ = _network(spec, task)
    model.model_.load_weights(folder / _WEIGHTS)
    return model
