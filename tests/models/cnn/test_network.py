"""Keras networks: what is built is what was written, and our own layers compute what Keras' do."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from digits.config.networks import Activation
from digits.models.architecture import parse_layers
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.network import ByteDropout, FusedBatchNormalization, build_network
from toy_networks import IMAGES, LABELS, NO_AUGMENTATION, SETTINGS, fit_toy


def test_the_layers_are_those_of_the_notation() -> None:
    network = build_network(
        parse_layers("6C5v MP2 BN 8C3s2 AP2 D0.2 10 5"), replace(SETTINGS, activation="tanh"), (28, 28), 4
    )
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == [
        "Conv2D", "MaxPooling2D", "Activation", "FusedBatchNormalization", "Conv2D", "Activation", "AveragePooling2D",
        "ByteDropout", "Flatten", "Dense", "Dense", "Dense",
    ]  # fmt: skip
    assert network.output_shape == (None, 4)
    # by hand: 28 -5v-> 24 -MP2-> 12 -s2-> 6 -AP2-> 3
    weights = (25 + 1) * 6 + 4 * 6 + (9 * 6 + 1) * 8 + (3 * 3 * 8 + 1) * 10 + (10 + 1) * 5 + (5 + 1) * 4
    assert network.count_params() == weights
    assert {layer.activation.__name__ for layer in network.layers if hasattr(layer, "activation")} == {"linear", "tanh"}


@pytest.mark.parametrize("layers", ["6C3 MP2 4C3", "MP2 10", ""])
def test_colours_have_more_weights_in_the_first_layer_alone(layers: str) -> None:
    grey, coloured = (build_network(parse_layers(layers), SETTINGS, (12, 10), 4, channels) for channels in (1, 3))
    assert coloured.input_shape == (None, 12, 10, 3)
    weights = {"6C3 MP2 4C3": 9 * 6, "MP2 10": 6 * 5 * 10, "": 12 * 10 * 4}[layers]
    assert coloured.count_params() - grey.count_params() == 2 * weights


@pytest.mark.parametrize("activation", get_args(Activation))
def test_pooling_first_gives_what_keras_gives_in_the_order_written(activation: str) -> None:
    """Outputs and gradients of convolution, activation, pooling as Keras' own layers compute them."""
    layers = "4C3 MP2 6C3 AP2 5C3 BN MP2 8"
    network = build_network(parse_layers(layers), replace(SETTINGS, activation=activation), (24, 24), 3)
    written = keras.Sequential(
        [
            keras.Input((24, 24, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation=activation),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(6, 3, padding="same", activation=activation),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(5, 3, padding="same", activation=activation),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation=activation),
            keras.layers.Dense(3),
        ]
    )
    written.set_weights(network.get_weights())
    # bright enough for values below -0.75, from where gelu falls as they rise
    images = tf.constant(10 * np.random.default_rng(0).random((5, 24, 24, 1), np.float32))
    found = []
    for model in (network, written):
        with tf.GradientTape() as tape:
            logits = model(images, training=False)
            loss = tf.reduce_sum(logits**2)
        found.append([logits, *tape.gradient(loss, model.trainable_variables)])
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_pooling_for_xla_has_the_maxima_and_gradients_of_keras() -> None:
    """Also where the last row and column belong to no block."""
    networks = [
        build_network(parse_layers("4C3 MP2 6C3 MP3"), replace(SETTINGS, jit_compile=jit_compile), (15, 13), 3)
        for jit_compile in (True, False)
    ]
    assert [type(layer).__name__ for layer in networks[0].layers].count("BlockMaxPooling") == 2
    networks[0].set_weights(networks[1].get_weights())
    images = tf.constant(np.random.default_rng(0).random((5, 15, 13, 1), np.float32))
    found = []
    for network in networks:
        with tf.GradientTape() as tape:
            logits = network(images, training=True)
            loss = tf.reduce_sum(logits**2)
        found.append([logits, *tape.gradient(loss, network.trainable_variables)])
    assert np.array_equal(found[0][0], found[1][0])
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_penalties_reach_the_layers_they_are_for() -> None:
    settings = replace(SETTINGS, l1=0.1, l2=0.2, activity_l1=0.3, kernel_initializer="he_normal")
    network = build_network(parse_layers("4C3 MP2 8"), settings, (12, 12), 3)
    convolution, dense, last = (layer for layer in network.layers if hasattr(layer, "kernel"))
    for layer in (convolution, dense, last):
        assert layer.kernel_regularizer.get_config() == {"l1": pytest.approx(0.1), "l2": pytest.approx(0.2)}
        assert type(layer.kernel_initializer).__name__ == "HeNormal"
    assert dense.activity_regularizer is not None
    assert convolution.activity_regularizer is None
    assert last.activity_regularizer is None
    network.build((None, 12, 12, 1))
    kernel = convolution.kernel.numpy()
    assert float(convolution.losses[0]) == pytest.approx(0.1 * np.abs(kernel).sum() + 0.2 * (kernel**2).sum(), rel=1e-4)


def test_relu_of_the_final_layer_cuts_the_logits() -> None:
    keras.utils.set_random_seed(0)
    plain, cut = (build_network(parse_layers(text), SETTINGS, (12, 12), 3) for text in ("8", "8 RELU"))
    cut.set_weights(plain.get_weights())
    images = np.random.default_rng(0).random((50, 12, 12, 1), np.float32)
    logits = plain.predict_on_batch(images)
    assert logits.min() < 0 < logits.max()
    assert np.array_equal(cut.predict_on_batch(images), np.maximum(logits, 0))


@pytest.mark.parametrize("shape", [(16, 6, 5, 4), (32, 7)])
def test_fused_batch_normalization_computes_what_keras_does(shape: tuple[int, ...]) -> None:
    """Outputs, gradients and the running mean; the running variance is the sample's, n / (n - 1) of Keras'."""
    generator = np.random.default_rng(0)
    inputs = tf.constant(generator.normal(3, 2, shape), tf.float32)
    weights = tf.constant(generator.normal(0, 1, shape), tf.float32)
    found = []
    for layer in (FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)):
        layer.build(shape)
        layer.gamma.assign(np.arange(1, shape[-1] + 1))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            trained = layer(inputs, training=True)
            loss = tf.reduce_sum(trained * weights)
        gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
        found.append((trained, *gradients, layer.moving_mean.value, layer.moving_variance.value))
    for ours, theirs in zip(found[0][:-1], found[1][:-1], strict=True):
        assert np.allclose(ours, theirs, atol=2e-3)
    count = np.prod(shape[:-1])
    assert np.allclose((found[0][-1] - 0.9) * (count - 1) / count, found[1][-1] - 0.9, rtol=1e-3)
    ours, theirs = FusedBatchNormalization(), keras.layers.BatchNormalization()
    for layer in (ours, theirs):
        layer.build(shape)
        layer.moving_mean.assign(np.arange(shape[-1]))
        layer.moving_variance.assign(np.arange(1, shape[-1] + 1))
    assert np.allclose(ours(inputs, training=False), theirs(inputs, training=False), atol=1e-4)


def test_running_statistics_keep_up_with_a_fit_of_a_hundred_steps() -> None:
    """Predictions after the short fits of a search are those of the network in training."""
    keras.utils.set_random_seed(0)
    # linear: a relu unit that is nearly always 0 has too small a variance
    network = build_network(parse_layers("8 BN"), replace(SETTINGS, activation="linear"), (4, 4), 3)
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (64, 4, 4, 1)), tf.float32)
    for _ in range(100):
        trained = network(images, training=True)
    assert np.allclose(network(images, training=False), trained, atol=0.1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_draws_its_share_anew_and_keeps_the_mean(rate: float) -> None:
    keras.utils.set_random_seed(0)
    layer = ByteDropout(rate)
    ones = tf.ones((50, 7, 7, 41))  # no multiple of four
    once, again = layer(ones, training=True).numpy(), layer(ones, training=True).numpy()
    values, counts = np.unique(once, return_counts=True)
    share = round(256 * rate) / 256
    assert values == pytest.approx([0, 1 / (1 - share)])
    # five standard deviations of a share of 100,450 values
    assert counts[0] / ones.numpy().size == pytest.approx(share, abs=5 * (share * (1 - share) / 100_450) ** 0.5)
    assert once.mean() == pytest.approx(1, abs=0.05)
    assert (once != again).mean() == pytest.approx(2 * share * (1 - share), abs=0.01)
    assert np.array_equal(layer(ones, training=False), ones)
    keras.utils.set_random_seed(0)
    assert np.array_equal(ByteDropout(rate)(ones, training=True), once)


@pytest.mark.parametrize("short", ["bfloat16", "float16"])
def test_mixed_precision_keeps_weights_and_logits_in_float32(short: str, toy_spec: dict[str, Any]) -> None:
    mixed = replace(SETTINGS, precision=f"mixed_{short}")
    network = build_network(parse_layers("4C3 BN MP2 D0.1 8"), mixed, (12, 12), 3)
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.layers[0].compute_dtype == short
    assert network.layers[-1].compute_dtype == "float32"
    toy_spec |= {"precision": f"mixed_{short}", "layers": "4C3 BN MP2 8", "epochs": 8, "learning_rate": 0.02}
    probabilities = fit_toy(toy_spec, augment=NO_AUGMENTATION).predict_proba(IMAGES)
    assert probabilities.dtype == np.float32
    assert (probabilities.argmax(axis=1) == LABELS).mean() > 0.9
