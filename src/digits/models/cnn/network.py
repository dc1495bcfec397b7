"""A list of layers -> a Keras network."""

from dataclasses import dataclass
from typing import Any

from digits.models.architecture import BatchNorm, Conv, Dense, Dropout, FinalRelu, GlobalPool, Layer, Pool
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.muon import OUTPUT

# Of the running statistics. They are those of the last 20 steps or so: with Keras' 0.99 they lag behind a network that
# learns as fast as in an epoch or two, and the short fits of a search would be worth nothing.
_MOMENTUM = 0.95
_RISING = frozenset({"relu", "leaky_relu", "elu", "tanh", "sigmoid", "linear"})  # gelu and silu first fall


@dataclass(frozen=True)
class Style:
    """What all layers of a network have in common.

    activation, kernel_initializer: Keras' names. l1, l2: strengths of the penalty on weights; activity_l1: on the
    activations of fully connected layers. precision: Keras' dtype policy of all layers but the last.
    """

    activation: str
    kernel_initializer: str
    l1: float
    l2: float
    activity_l1: float
    precision: str


def build_network(
    layers: tuple[Layer, ...], style: Style, image_shape: tuple[int, int], classes: int
) -> keras.Sequential:
    """(batch, height, width, 1) float32 -> (batch, classes) float32 logits.

    A max-pooling right behind a convolution comes before its activation: the activation of the largest value is the
    largest activation, where activations rise, and a quarter of the work.
    """
    network: list[Any] = [keras.Input((*image_shape, 1))]
    activation: list[Any] = []  # of a convolution, until it is known what follows
    flat = False
    hidden = [layer for layer in layers if not isinstance(layer, FinalRelu)]
    for layer in hidden:
        overtakes = isinstance(layer, Pool) and layer.kind == "max" and style.activation in _RISING
        made = [_keras_layer(layer, style)]
        if isinstance(layer, Dense) and not flat:
            made.insert(0, keras.layers.Flatten())
        flat = flat or isinstance(layer, Dense | GlobalPool)
        network += [*made, *activation] if overtakes else [*activation, *made]
        activated = isinstance(layer, Conv)
        activation = [keras.layers.Activation(style.activation, dtype=style.precision)] if activated else []
    network += activation
    if not flat:
        network.append(keras.layers.Flatten())
    # probabilities need more digits than bfloat16 has
    network.append(keras.layers.Dense(classes, dtype="float32", name=OUTPUT, **_weights(style)))
    if len(hidden) < len(layers):
        network.append(keras.layers.ReLU(dtype="float32"))
    return keras.Sequential(network)


def _keras_layer(layer: Conv | Pool | GlobalPool | BatchNorm | Dropout | Dense, style: Style) -> keras.layers.Layer:
    common = {"dtype": style.precision, **_weights(style)}
    match layer:
        case Conv(filters, kernel, stride, padding):
            made = keras.layers.Conv2D(filters, kernel, strides=stride, padding=padding, **common)
        case Pool(size, "max"):
            made = keras.layers.MaxPooling2D(size, dtype=style.precision)
        case Pool(size, _):
            made = keras.layers.AveragePooling2D(size, dtype=style.precision)
        case GlobalPool():
            made = keras.layers.GlobalAveragePooling2D(dtype=style.precision)
        case BatchNorm():
            made = FusedBatchNormalization(momentum=_MOMENTUM, dtype=style.precision)
        case Dropout(rate):
            made = ByteDropout(rate, dtype=style.precision)
        case Dense(units):
            activity = keras.regularizers.L1(style.activity_l1) if style.activity_l1 else None
            made = keras.layers.Dense(units, activation=style.activation, activity_regularizer=activity, **common)
    return made


def _weights(style: Style) -> dict[str, Any]:
    """How kernels start and what they cost."""
    penalty = keras.regularizers.L1L2(style.l1, style.l2) if style.l1 or style.l2 else None
    return {"kernel_initializer": style.kernel_initializer, "kernel_regularizer": penalty}


@keras.saving.register_keras_serializable("digits")
class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras' BatchNormalization over the last axis, computed by TensorFlow's one fused operation.

    Keras' own makes several passes over the images, which costs a quarter of the training time on a CPU. The running
    variance is that of the sample (divided by n - 1), as the operation gives it; Keras' divides by n.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch in training and by the running statistics else."""
        shape = tf.shape(inputs)
        # the operation knows images only: (batch, units) is an image of one row
        images = inputs if inputs.shape.rank == 4 else tf.reshape(inputs, (shape[0], 1, 1, inputs.shape[-1]))
        learns = bool(training) and self.trainable
        variables = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        gamma, beta, mean, variance = (tf.cast(variable.value, tf.float32) for variable in variables)
        empty = tf.zeros((0,), tf.float32)
        normalised, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=gamma,
            offset=beta,
            mean=empty if learns else mean,
            variance=empty if learns else variance,
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            for running, batch in ((self.moving_mean, batch_mean), (self.moving_variance, batch_variance)):
                running.assign(running * self.momentum + tf.cast(batch, running.dtype) * (1 - self.momentum))
        return tf.reshape(normalised, shape)


@keras.saving.register_keras_serializable("digits")
class ByteDropout(keras.layers.Layer):  # type: ignore[misc]
    """Keras' Dropout with a random byte per value in place of a random number, which takes a third of the time.

    The rate is rounded to a multiple of 1/256, and what is kept is scaled by exactly what that takes away.
    """

    def __init__(self, rate: float, **common: Any):
        super().__init__(**common)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Set a share of the values to 0 in training; change nothing else."""
        dropped = round(256 * self.rate)
        if not training or not dropped:
            return inputs
        shape = tf.shape(inputs)
        words = (tf.size(inputs) + 3) // 4  # of four bytes each
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        drawn = tf.random.stateless_uniform((words,), seed, minval=None, maxval=None, dtype=tf.uint32)
        numbers = tf.reshape(tf.bitcast(drawn, tf.uint8), (-1,))[: tf.size(inputs)]
        kept = tf.cast(tf.reshape(numbers >= dropped, shape), inputs.dtype)
        return inputs * (kept * tf.cast(256 / (256 - dropped), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as Keras wants them."""
        config: dict[str, Any] = super().get_config()
        return config | {"rate": self.rate}
