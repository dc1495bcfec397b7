"""Fitted networks and their blend as one graph of Keras' own layers: raw pixels in, probabilities out."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from digits.common.errors import UserError
from digits.ensemble import combine
from digits.ensemble.combine import LOGITS, Combination, Stack, WeightedMean
from digits.evaluation import calibration
from digits.export.transforms import taps
from digits.models.cnn import CnnClassifier, classifier
from digits.models.cnn.libraries import keras
from digits.models.cnn.network import ByteDropout, FusedBatchNormalization

ops = keras.ops


def graph(members: Sequence[Sequence[CnnClassifier]], combination: Combination) -> keras.Model:
    """A functional model: pixels 0..255, float32 (n, height, width, channels) -> probabilities (n, classes).

    members: the models of each member, in the order of the combination; none for a member without a weight. A file of
    it is loaded without this package. Raises UserError for layers that Keras does not have.
    """
    first = next(unit for units in members for unit in units)
    pixels = keras.Input((*first.task.image_shape, first.task.channels), name="pixels", dtype="float32")
    means = [_mean([_probabilities(unit, pixels) for unit in units]) if units else None for units in members]
    model = keras.Model(pixels, keras.layers.Identity(name="probabilities")(_combined(means, combination)))
    model(ops.zeros((1, *pixels.shape[1:])))  # Keras' exporters refuse a model that was never called
    return model


def _combined(members: Sequence[Any], combination: Combination) -> Any:
    """As `combination` computes it; None stands for members without a weight."""
    if isinstance(combination, Stack):
        features = ops.concatenate([_log(member, combine._SMALLEST) for member in members], axis=1)
        coefficients = combination.coefficients.T.astype(np.float32)
        return ops.softmax(ops.matmul(features, coefficients) + combination.intercepts.astype(np.float32))
    assert isinstance(combination, WeightedMean)
    used = [(member, float(weight)) for member, weight in zip(members, combination.weights, strict=True) if weight]
    if combination.space is not LOGITS:
        return reduce(add, [member * weight for member, weight in used])
    return ops.softmax(reduce(add, [_log(member, combine._SMALLEST) * weight for member, weight in used]))


def _mean(units: Sequence[Any]) -> Any:
    return reduce(add, units) / len(units) if len(units) > 1 else units[0]


def _log(probabilities: Any, smallest: float) -> Any:
    return ops.log(ops.maximum(probabilities, smallest))


def _probabilities(unit: CnnClassifier, pixels: Any) -> Any:
    """As `CnnClassifier.predict_proba` computes them."""
    network, temperature, transforms = _plain(unit.model_), unit.temperature_, [{}, *unit.spec["tta"]]
    if len(transforms) == 1:
        return ops.softmax(network(_normalised(unit, pixels)) / temperature)
    copies = network(_normalised(unit, _copies(pixels, *taps(transforms, unit.task.image_shape))))
    each = ops.reshape(ops.softmax(copies), (-1, len(transforms), unit.task.classes))

    def calibrated(probabilities: Any) -> Any:
        return ops.softmax(_log(probabilities, calibration._SMALLEST) / temperature)

    own = each[:, 0]
    unsure = ops.max(calibrated(own), axis=1, keepdims=True) < classifier._SURE
    return calibrated(ops.where(unsure, ops.mean(each, axis=1), own))


def _normalised(unit: CnnClassifier, pixels: Any) -> Any:
    """Images as the network takes them; offset and scale are numbers, or one per pixel."""
    shape = pixels.shape[1:]
    offset, scale = (
        float(value) if np.ndim(value) == 0 else np.reshape(value, shape)
        for value in (unit.normaliser_.offset_, unit.normaliser_.scale_)
    )
    return (pixels - offset) * scale


def _copies(pixels: Any, indices: np.ndarray, weights: np.ndarray) -> Any:
    """Transformed copies, (n * transforms, height, width, channels), those of an image side by side; see `taps`."""
    _, height, width, channels = pixels.shape
    taken = ops.take(ops.reshape(pixels, (-1, height * width, channels)), indices.ravel(), axis=1)
    corners = ops.reshape(taken, (-1, *indices.shape, channels)) * weights[None, :, :, None]
    return ops.reshape(ops.sum(corners, axis=2), (-1, height, width, channels))


def _plain(network: keras.Sequential) -> keras.Sequential:
    """The network of Keras' own layers, with its weights and without dropout."""
    kept = [layer for layer in network.layers if not isinstance(layer, ByteDropout)]
    plain = keras.Sequential([keras.Input(network.input_shape[1:]), *map(_plain_layer, kept)])
    for layer, own in zip(plain.layers, kept, strict=True):
        layer.set_weights(own.get_weights())
    return plain


def _plain_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    kind = keras.layers.BatchNormalization if isinstance(layer, FusedBatchNormalization) else type(layer)
    if not kind.__module__.startswith("keras."):
        raise UserError(f"the layer {kind.__name__} is not one of Keras' own, and export does not know how to write it")
    return kind.from_config(layer.get_config())
