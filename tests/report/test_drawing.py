"""The drawing of a network agrees with the network that Keras builds, and with the operations that plans count."""

import pytest

from digits.models.architecture import parse_layers, training_operations
from digits.report.drawing import drawn

NETWORKS = ("6C5s2 MP2 D0.3 8C3v AP2 16", "4C3 BN MP2 8C3v GAP BN 10 RELU", "8C3 MP2", "32 D0.5 16", "")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("text", NETWORKS)
def test_its_multiplications_are_those_that_plans_count(text: str, channels: int) -> None:
    layers = parse_layers(text)
    counts = [row.multiplications for row in drawn(layers, (28, 20), 7, channels) if row.multiplications]
    assert 2 * (3 * sum(counts) - counts[0]) == training_operations(layers, (28, 20), 7, channels)


@pytest.mark.slow
@pytest.mark.parametrize("text", NETWORKS[:2])
def test_its_weights_and_shapes_are_those_of_keras(text: str) -> None:
    from digits.models.cnn.network import LayerSettings, build_network

    layers = parse_layers(text)
    settings = LayerSettings("relu", "glorot_uniform", 0, 0, 0, "float32")
    network = build_network(layers, settings, (28, 20), 7, 3)
    kinds = ("Conv2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "FusedBatchNormalization")
    built = [each for each in network.layers if type(each).__name__ in (*kinds, "ByteDropout", "Dense")]
    rows = drawn(layers, (28, 20), 7, 3)
    assert sum(row.weights for row in rows) == network.count_params()
    assert [(row.shape, row.weights) for row in rows[1:]] == [
        (each.output.shape[1:], each.count_params()) for each in built
    ]
