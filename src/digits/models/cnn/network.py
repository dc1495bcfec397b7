"""Keras networks from the layers of digits.models.architecture."""

from dataclasses import dataclass
from typing import Any

from digits.models.architecture import BatchNorm, Conv, Dense, Dropout, FinalRelu, GlobalPool, Layer, Pool
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.muon import INPUT, OUTPUT

# The running statistics are those of the last 20 steps or so. With Keras' 0.99 they lag behind a network trained for an
# epoch or two, and predictions after the short fits of a search would be useless.
_BATCH_NORM_MOMENTUM = 0.95
_MONOTONIC = frozenset({"relu", "leaky_relu", "elu", "tanh", "sigmoid", "linear"})  # gelu and silu are not


@dataclass(frozen=True)
class LayerSettings:
    """Settings of all layers of a network.

    activation, kernel_initializer: Keras' names. l1, l2: strengths of the penalty on weights; activity_l1: on the
    activations of fully connected layers. precision: Keras' dtype policy of all layers but the last. jit_compile:
    whether XLA compiles its training step.
    """

    activation: str
    kernel_initializer: str
    l1: float
    l2: float
    activity_l1: float
    precision: str
    jit_compile: bool = False


def build_network(
    layers: tuple[Layer, ...], settings: LayerSettings, image_shape: tuple[int, int], classes: int, channels: int = 1
) -> keras.Sequential:
    """A network (batch, height, width, channels) float32 -> (batch, classes) float32 logits.

    A max-pooling right after a convolution is put before its activation if that is monotonic: the activation of the
    maximum is the maximum of the activations, for a quarter of the work.
    """
    network: list[Any] = [keras.Input((*image_shape, channels))]
    activation: list[Any] = []  # of the last convolution, not yet in the network
    flat = False
    hidden = [layer for layer in layers if not isinstance(layer, FinalRelu)]
    first = next((layer for layer in hidden if isinstance(layer, Conv)), None)
    for layer in hidden:
        pool_first = isinstance(layer, Pool) and layer.kind == "max" and settings.activation in _MONOTONIC
        added = [_keras_layer(layer, settings, INPUT if layer is first else None)]
        if isinstance(layer, Dense) and not flat:
            added.insert(0, keras.layers.Flatten())
        flat = flat or isinstance(layer, Dense | GlobalPool)
        network += [*added, *activation] if pool_first else [*activation, *added]
        activated = isinstance(layer, Conv)
        activation = [keras.layers.Activation(settings.activation, dtype=settings.precision)] if activated else []
    network += activation
    if not flat:
        network.append(keras.layers.Flatten())
    # bfloat16 has too few digits for probabilities
    network.append(keras.layers.Dense(classes, dtype="float32", name=OUTPUT, **_kernel_options(settings)))
    if len(hidden) < len(layers):
        network.append(keras.layers.ReLU(dtype="float32"))
    return keras.Sequential(network)


def _keras_layer(
    layer: Conv | Pool | GlobalPool | BatchNorm | Dropout | Dense, settings: LayerSettings, name: str | None
) -> keras.layers.Layer:
    """The layer of Keras; name: of a convolution, None for Keras' own."""
    common = {"dtype": settings.precision, **_kernel_options(settings)}
    match layer:
        case Conv(filters, kernel, stride, padding):
            made = keras.layers.Conv2D(filters, kernel, strides=stride, padding=padding, name=name, **common)
        case Pool(size, "max") if settings.jit_compile:
            made = BlockMaxPooling(size, dtype=settings.precision)
        case Pool(size, "max"):
            made = keras.layers.MaxPooling2D(size, dtype=settings.precision)
        case Pool(size, _):
            made = keras.layers.AveragePooling2D(size, dtype=settings.precision)
        case GlobalPool():
            made = keras.layers.GlobalAveragePooling2D(dtype=settings.precision)
        case BatchNorm():
            made = FusedBatchNormalization(momentum=_BATCH_NORM_MOMENTUM, dtype=settings.precision)
        case Dropout(rate):
            made = ByteDropout(rate, dtype=settings.precision)
        case Dense(units):
            activity = keras.regularizers.L1(settings.activity_l1) if settings.activity_l1 else None
            made = keras.layers.Dense(units, activation=settings.activation, activity_regularizer=activity, **common)
    return made


def _kernel_options(settings: LayerSettings) -> dict[str, Any]:
    """Initializer and regularizer of a kernel."""
    penalty = keras.regularizers.L1L2(settings.l1, settings.l2) if settings.l1 or settings.l2 else None
    return {"kernel_initializer": settings.kernel_initializer, "kernel_regularizer": penalty}


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras' BatchNormalization over the last axis, computed by TensorFlow's one fused operation.

    Keras' own makes several passes over the images, which costs a quarter of the training time on a CPU. The running
    variance is the sample variance (divided by n - 1), which the operation returns; Keras' divides by n.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch's statistics in training, by the running ones otherwise."""
        shape = tf.shape(inputs)
        # the operation takes images only: (batch, units) becomes images of one pixel
        images = inputs if inputs.shape.rank == 4 else tf.reshape(inputs, (shape[0], 1, 1, inputs.shape[-1]))
        updates = bool(training) and self.trainable
        variables = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        gamma, beta, mean, variance = (tf.cast(variable.value, tf.float32) for variable in variables)
        empty = tf.zeros((0,), tf.float32)
        normalised, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=gamma,
            offset=beta,
            mean=empty if updates else mean,
            variance=empty if updates else variance,
            epsilon=self.epsilon,
            is_training=updates,
        )
        if updates:
            for running, batch in ((self.moving_mean, batch_mean), (self.moving_variance, batch_variance)):
                running.assign(running * self.momentum + tf.cast(batch, running.dtype) * (1 - self.momentum))
        return tf.reshape(normalised, shape)


class BlockMaxPooling(keras.layers.Layer):  # type: ignore[misc]
    """Keras' MaxPooling2D by operations that have a deterministic gradient under XLA; equal maxima share it."""

    def __init__(self, size: int, **common: Any):
        super().__init__(**common)
        self.size = size

    def call(self, inputs: Any) -> Any:
        """(batch, height, width, channels) -> (batch, height // size, width // size, channels)."""
        rows, columns = (side // self.size for side in inputs.shape[1:3])
        whole = inputs[:, : rows * self.size, : columns * self.size]
        return tf.reduce_max(tf.reshape(whole, (-1, rows, self.size, columns, self.size, inputs.shape[3])), (2, 4))


class ByteDropout(keras.layers.Layer):  # type: ignore[misc]
    """Keras' Dropout with a random byte per value in place of a random float, which takes a third of the time.

    The rate is rounded to a multiple of 1/256, and the values kept are scaled by 1 / (1 - that rate).
    """

    def __init__(self, rate: float, **common: Any):
        super().__init__(**common)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Set a share of the values to 0 and scale the others in training; the identity otherwise."""
        dropped = round(256 * self.rate)
        if not training or not dropped:
            return inputs
        shape = tf.shape(inputs)
        words = (tf.size(inputs) + 3) // 4  # of four bytes each
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        random = tf.random.stateless_uniform((words,), seed, minval=None, maxval=None, dtype=tf.uint32)
        random_bytes = tf.reshape(tf.bitcast(random, tf.uint8), (-1,))[: tf.size(inputs)]
        kept = tf.cast(tf.reshape(random_bytes >= dropped, shape), inputs.dtype)
        return inputs * (kept * tf.cast(256 / (256 - dropped), inputs.dtype))
