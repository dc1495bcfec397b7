"""The networks of published recipes, written in one line each."""

import pytest

from digits.models.architecture import parse_layers
from digits.models.cnn.network import LayerSettings, build_network


# networks of published recipes, their weights counted by hand
@pytest.mark.parametrize(
    ("layers", "weights"),
    [
        ("", 784 * 10 + 10),
        ("392", 785 * 392 + 393 * 10),
        ("392 392", 785 * 392 + 393 * 392 + 393 * 10),
        ("1024 512 256 128 32", 785 * 1024 + 1025 * 512 + 513 * 256 + 257 * 128 + 129 * 32 + 33 * 10),
        ("32C5 32C5 MP2 64C3 64C3 MP2 256", 832 + 25_632 + 18_496 + 36_928 + 3137 * 256 + 257 * 10),
        (
            "32C5 32C5 MP2 64C3 64C3 MP2 128C2 128C2 MP2 256",
            832 + 25_632 + 18_496 + 36_928 + 257 * 128 + 513 * 128 + 1153 * 256 + 257 * 10,
        ),
        ("250 125 50 10", 785 * 250 + 251 * 125 + 126 * 50 + 51 * 10 + 11 * 10),
        ("32C5v MP2 64C5v MP2 100", 832 + 801 * 64 + 1025 * 100 + 101 * 10),
        ("256 D0.2 256 D0.2 256 D0.2 256 D0.2 256 D0.2", 785 * 256 + 4 * 257 * 256 + 257 * 10),
    ],
)
def test_the_published_networks_can_be_written(layers: str, weights: int) -> None:
    network = build_network(
        parse_layers(layers), LayerSettings("relu", "glorot_uniform", 0, 0, 0, "float32"), (28, 28), 10
    )
    assert network.count_params() == weights
