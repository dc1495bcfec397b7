"""Muon: its updates, and which variables it leaves to AdamW."""

from typing import Any

import numpy as np
import pytest

from digits.models.architecture import parse_layers
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.muon import Muon
from digits.models.cnn.network import build_network
from toy_networks import SETTINGS


def updated(optimizer: Any, kernel: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """A variable of this value after a step for each gradient."""
    variable = keras.Variable(kernel, dtype="float32")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
    return np.asarray(variable.numpy())


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_the_update_of_a_convolution_has_about_equal_singular_values() -> None:
    """In units of the paper's step length; those of the gradient differ by a factor of 100."""
    left, _, right = np.linalg.svd(normal(3 * 3 * 8, 16), full_matrices=False)
    gradient = (left * np.geomspace(1, 0.01, 16)) @ right
    start = np.zeros((3, 3, 8, 16), np.float32)
    step = -updated(Muon(0.1), start, [gradient.reshape(start.shape)])
    values = np.linalg.svd(step.reshape(72, 16), compute_uv=False) / (0.1 * 0.2 * 72**0.5)
    assert values.max() < 1.3
    assert values.min() > 0.2
    assert values.max() / values.min() < 6


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (72, 16), (8, 40)])
def test_the_update_is_that_of_keras_for_the_kernel_as_a_matrix(shape: tuple[int, ...]) -> None:
    kernel, gradients = normal(*shape), [normal(2, *shape)[each] for each in (0, 1)]
    ours = updated(Muon(0.01), kernel, gradients)
    flat = (-1, shape[-1])
    keras_own = keras.optimizers.Muon(0.01, ns_steps=3)
    theirs = updated(keras_own, kernel.reshape(flat), [gradient.reshape(flat) for gradient in gradients])
    assert np.allclose(ours.reshape(flat), theirs, atol=1e-5)
    assert np.abs(ours - kernel).max() > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_adamw_updates_what_is_no_hidden_layer(channels: int) -> None:
    network = build_network(parse_layers("4C3 MP2 8C3 16"), SETTINGS, (12, 12), 3, channels)
    muon = Muon(0.1)
    by_adamw = [bool(muon._should_use_adamw(variable)) for variable in network.trainable_variables]
    kernel, bias, hidden = True, True, False
    assert by_adamw == [kernel, bias, hidden, bias, hidden, bias, kernel, bias]
