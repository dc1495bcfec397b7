"""Keras networks, trained on randomly distorted images with a one-cycle learning rate."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from digits.models.quiet import quiet_import

with quiet_import():
    import keras
    import tensorflow as tf
    from keras.optimizers.schedules import LearningRateSchedule

from digits.augment import affine_maps
from digits.errors import UserError
from digits.layers import BatchNorm, Conv, Dense, Dropout, GlobalPool, Layer, Pool, parse_layers
from digits.models import OnEpoch, Setting
from digits.preprocess import Normaliser

PREDICT_BATCH = 1000  # images; large enough to keep two cores busy, small enough for the caches
START_SHARE = 0.1  # of the peak learning rate, at the first step


class CnnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network of `layers` (see digits.layers) as a scikit-learn classifier.

    Images are uint8 (n, pixels) with `image_shape` rows and columns, labels are integers from 0 to classes - 1. The
    parameters are those of params.yaml's `train`. The same parameters, data and random_state give the same bits on the
    same machine, whatever was fitted before in the process. Fitted: model_ (keras.Model), normaliser_, history_ (one
    dictionary per epoch: loss, accuracy, learning_rate).
    """

    def __init__(
        self,
        layers: str,
        activation: str,
        epochs: int,
        min_steps: int,
        batch_size: int,
        optimizer: str,
        learning_rate: float,
        warm_up: float,
        label_smoothing: float,
        augment: dict[str, float],
        image_shape: tuple[int, int],
        classes: int,
        normalise: str,
        random_state: int,
        on_epoch: OnEpoch | None = None,
    ):
        self.layers = layers
        self.activation = activation
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.warm_up = warm_up
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.image_shape = image_shape
        self.classes = classes
        self.normalise = normalise
        self.random_state = random_state
        self.on_epoch = on_epoch

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Self:
        """Train from fresh weights. Raises UserError where the loss is no longer a number."""
        keras.backend.clear_session()  # frees the networks fitted before and restarts Keras' name counters
        keras.utils.set_random_seed(self.random_state)
        tf.config.experimental.enable_op_determinism()
        self.classes_ = np.arange(self.classes)
        self.normaliser_ = Normaliser(self.normalise).fit(X)
        self.history_: list[dict[str, float]] = []
        batch_size = min(self.batch_size, len(X))
        steps_per_epoch = len(X) // batch_size  # a partial batch would be traced and compiled anew
        epochs = max(self.epochs, -(-self.min_steps // steps_per_epoch))
        schedule = OneCycle(self.learning_rate, self.warm_up, epochs * steps_per_epoch)
        self.model_ = build_network(parse_layers(self.layers), self.activation, self.image_shape, self.classes)
        self.model_.compile(
            optimizer=make_optimizer(self.optimizer, schedule),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=False,  # XLA made every network tried slower on the CPU
        )
        self.model_.fit(
            self._batches(X, y, batch_size, steps_per_epoch, epochs),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[_Watch(self, schedule, epochs)],
        )
        return self

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, (n, classes) float32."""
        images = self.normaliser_.transform(X).reshape(-1, *self.image_shape, 1)
        missing = -len(images) % PREDICT_BATCH  # a partial batch would be traced anew
        padded = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.float32)])
        logits = self.model_.predict(padded, batch_size=PREDICT_BATCH, verbose=0)[: len(images)]
        probabilities: NDArray[np.float32] = tf.nn.softmax(logits).numpy()
        return probabilities

    def _batches(
        self, X: NDArray[np.uint8], y: NDArray[np.int64], batch_size: int, steps_per_epoch: int, epochs: int
    ) -> tf.data.Dataset:
        """All batches of all epochs, (batch, height, width, 1) float32 and (batch, classes) float32.

        Order and distortions are drawn beforehand by NumPy, so that they depend on the seed alone.
        """
        generator = np.random.default_rng(self.random_state)
        shape = (steps_per_epoch * epochs, batch_size)
        used = steps_per_epoch * batch_size
        order = np.concatenate([generator.permutation(len(X))[:used] for _ in range(epochs)]).reshape(shape)
        maps = affine_maps(generator, order.size, self.image_shape, **self.augment).reshape(*shape, 8)
        images = tf.constant(np.asarray(X).reshape(-1, *self.image_shape, 1))
        labels = tf.constant(np.asarray(y))
        offset, scale = (
            np.broadcast_to(value, X.shape[1]).reshape(*self.image_shape, 1)
            for value in (self.normaliser_.offset_, self.normaliser_.scale_)
        )

        def batch(rows: tf.Tensor, maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            warped = tf.raw_ops.ImageProjectiveTransformV3(
                images=tf.cast(tf.gather(images, rows), tf.float32),
                transforms=maps,
                output_shape=self.image_shape,
                fill_value=0.0,
                interpolation="BILINEAR",
                fill_mode="CONSTANT",
            )
            return (warped - offset) * scale, tf.one_hot(tf.gather(labels, rows), self.classes)

        options = tf.data.Options()
        # its thread sleeps for 10 ms, 20 ms, 40 ms ... and the end of a fit waits until it wakes: up to 41 s in vain
        options.autotune.enabled = False
        batches = tf.data.Dataset.from_tensor_slices((order, maps)).map(batch, num_parallel_calls=2, deterministic=True)
        return batches.prefetch(4).with_options(options)


class OneCycle(LearningRateSchedule):  # type: ignore[misc]
    """Learning rate that rises in a line to its peak and falls along a half cosine to zero.

    After L. N. Smith and N. Topin (2018), Super-convergence, arXiv:1708.07120, section 2, with the cosine of
    I. Loshchilov and F. Hutter (2017), SGDR, arXiv:1608.03983, equation 5.
    """

    def __init__(self, peak: float, warm_up: float, steps: int):
        self.peak = peak
        self.warm_up = warm_up
        self.steps = steps

    def __call__(self, step: Any) -> tf.Tensor:
        """Learning rate at a step, counted from 0."""
        done = tf.cast(step, tf.float32) / self.steps
        rising = START_SHARE + (1 - START_SHARE) * done / max(self.warm_up, 1e-6)
        falling = 0.5 * (1 + tf.cos(np.pi * (done - self.warm_up) / (1 - self.warm_up)))
        return self.peak * tf.where(done < self.warm_up, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as Keras wants them."""
        return {"peak": self.peak, "warm_up": self.warm_up, "steps": self.steps}


def build(spec: dict[str, Any], setting: Setting, seed: int, on_epoch: OnEpoch | None) -> CnnClassifier:
    """An unfitted network for the competition's images."""
    return CnnClassifier(
        **{name: value for name, value in spec.items() if name != "kind"},
        image_shape=setting.image_shape,
        classes=setting.classes,
        normalise=setting.normalise,
        random_state=seed,
        on_epoch=on_epoch,
    )


def save(model: CnnClassifier, folder: Path) -> None:
    """Write the weights, the fitted normalisation and a summary; with the run's params they rebuild the network."""
    model.model_.save_weights(folder / "model.weights.h5")
    np.savez(folder / "normaliser.npz", offset=model.normaliser_.offset_, scale=model.normaliser_.scale_)
    lines: list[str] = []
    model.model_.summary(print_fn=lines.append, line_length=100)
    (folder / "model.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def build_network(
    layers: tuple[Layer, ...], activation: str, image_shape: tuple[int, int], classes: int
) -> keras.Sequential:
    """(batch, height, width, 1) float32 -> (batch, classes) float32 logits."""
    network = [keras.Input((*image_shape, 1))]
    flat = False
    for layer in layers:
        if isinstance(layer, Dense) and not flat:
            network.append(keras.layers.Flatten())
        flat = flat or isinstance(layer, Dense | GlobalPool)
        network.append(_keras_layer(layer, activation))
    if not flat:
        network.append(keras.layers.Flatten())
    return keras.Sequential([*network, keras.layers.Dense(classes, dtype="float32")])


def _keras_layer(layer: Layer, activation: str) -> keras.layers.Layer:
    match layer:
        case Conv(filters, kernel, stride, padding):
            made = keras.layers.Conv2D(filters, kernel, strides=stride, padding=padding, activation=activation)
        case Pool(size, "max"):
            made = keras.layers.MaxPooling2D(size)
        case Pool(size, _):
            made = keras.layers.AveragePooling2D(size)
        case GlobalPool():
            made = keras.layers.GlobalAveragePooling2D()
        case BatchNorm():
            made = keras.layers.BatchNormalization()
        case Dropout(rate):
            made = keras.layers.Dropout(rate)
        case Dense(units):
            made = keras.layers.Dense(units, activation=activation)
    return made


def make_optimizer(name: str, learning_rate: Any) -> keras.optimizers.Optimizer:
    """A Keras optimizer by its name in params.yaml, with Keras' defaults but for the learning rate."""
    makers = {
        "sgd": lambda: keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
        "rmsprop": lambda: keras.optimizers.RMSprop(learning_rate),
        "adam": lambda: keras.optimizers.Adam(learning_rate),
        "adamw": lambda: keras.optimizers.AdamW(learning_rate),
        "nadam": lambda: keras.optimizers.Nadam(learning_rate),
    }
    return makers[name]()


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history, tells who wants to know, and stops a fit that has diverged."""

    def __init__(self, classifier: CnnClassifier, schedule: OneCycle, epochs: int):
        super().__init__()
        self.classifier = classifier
        self.schedule = schedule
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note loss, accuracy and learning rate."""
        rate = float(self.schedule((epoch + 1) * self.schedule.steps // self.epochs - 1))
        if not np.isfinite(logs["loss"]):
            raise UserError(
                f"the loss became {logs['loss']} in epoch {epoch + 1} at a learning rate of {rate:.3g}; "
                f'try a lower one, as in SET="train.learning_rate={self.schedule.peak / 10:.2g}"'
            )
        record = {"loss": float(logs["loss"]), "accuracy": float(logs["accuracy"]), "learning_rate": rate}
        self.classifier.history_.append(record)
        if self.classifier.on_epoch:
            self.classifier.on_epoch(epoch + 1, self.epochs, record)
