"""The workloads that `benchmarks.networks` times. Each has already run once when it is returned, to be compiled."""

from collections.abc import Callable
from itertools import islice

import numpy as np

from digits.config import CnnSpec
from digits.models.architecture import BatchNorm, Conv, Dense, Dropout, GlobalPool, Pool, parse_layers
from digits.models.cnn.batches import Batches
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.loop import compiled_step
from digits.models.cnn.network import LayerSettings, build_network
from digits.models.preprocessing import Normaliser

PRODUCTS = 20  # matrix products per workload
_SHAPE, _CLASSES = (28, 28), 10
_EPOCHS = 1000  # of the stream of batches; more than are ever taken

Workload = Callable[[], None]


def ours(spec: CnnSpec, images: int) -> Workload:
    """One epoch of our training on `images` images: augmentation and steps."""
    assert isinstance(spec.batch_size, int)
    X, y = _noise(images)
    batches = Batches(
        images=X,
        labels=y,
        normaliser=Normaliser("/255").fit(X),
        image_shape=_SHAPE,
        channels=1,
        classes=_CLASSES,
        augment=spec.augment.model_dump(),
        batch_size=spec.batch_size,
        seed=0,
    )
    xla = bool(spec.jit_compile)
    settings = LayerSettings(spec.activation, spec.kernel_initializer, 0.0, 0.0, 0.0, spec.precision, xla)
    model = build_network(parse_layers(spec.layers), settings, _SHAPE, _CLASSES)
    step = compiled_step(model, keras.optimizers.Adam(), 0.0, xla)
    stream = batches.stream(_EPOCHS)

    def work() -> None:
        for batch in islice(stream, batches.steps_per_epoch):
            last = step(*batch)
        last.numpy()

    work()
    return work


def plain_keras(spec: CnnSpec, images: int) -> Workload:
    """One epoch of the same network with Keras' own layers and `fit`, in float32, without augmentation."""
    X, y = _noise(images)
    X = X.reshape(-1, *_SHAPE, 1).astype(np.float32) / 255
    model = keras.Sequential([keras.Input((*_SHAPE, 1))])
    for layer in parse_layers(spec.layers):
        match layer:
            case Conv(filters, kernel, stride, padding):
                model.add(keras.layers.Conv2D(filters, kernel, stride, padding, activation=spec.activation))
            case Pool(size, "max"):
                model.add(keras.layers.MaxPooling2D(size))
            case Pool(size, _):
                model.add(keras.layers.AveragePooling2D(size))
            case GlobalPool():
                model.add(keras.layers.GlobalAveragePooling2D())
            case BatchNorm():
                model.add(keras.layers.BatchNormalization())
            case Dropout(rate):
                model.add(keras.layers.Dropout(rate))
            case Dense(units):
                if len(model.output_shape) == 4:
                    model.add(keras.layers.Flatten())
                model.add(keras.layers.Dense(units, activation=spec.activation))
    if len(model.output_shape) == 4:
        model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(_CLASSES, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def work() -> None:
        model.fit(X, y, batch_size=spec.batch_size, epochs=1, verbose=0)

    work()
    return work


def matrix_product(dtype: str, size: int) -> Workload:
    """PRODUCTS products of two square matrices of `size` rows."""
    generator = np.random.default_rng(0)
    left, right = (tf.cast(tf.constant(generator.random((size, size), np.float32)), dtype) for _ in range(2))

    def work() -> None:
        for _ in range(PRODUCTS):
            product = left @ right
        product[0, 0].numpy()

    work()
    return work


def _noise(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, uint8 (images, pixels), and labels."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, _SHAPE[0] * _SHAPE[1]), dtype=np.uint8)
    return pixels, generator.integers(0, _CLASSES, images)
