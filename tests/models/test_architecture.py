"""The notation of networks."""

import pytest

from digits.models.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    FinalRelu,
    GlobalPool,
    Pool,
    output_size,
    parse_layers,
    training_operations,
)


def test_every_kind_of_layer() -> None:
    assert parse_layers("32C5 16C3s2v BN MP2 AP3 D0.25 GAP 128 RELU") == (
        Conv(32, 5, 1, "same"),
        Conv(16, 3, 2, "valid"),
        BatchNorm(),
        Pool(2, "max"),
        Pool(3, "average"),
        Dropout(0.25),
        GlobalPool(),
        Dense(128),
        FinalRelu(),
    )


def test_no_layer_at_all_is_softmax_regression() -> None:
    assert parse_layers("") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("16C3 32K3", "layer 2, '32K3'"),
        ("D1.5", "layer 1, 'D1.5'"),
        ("0C3", "size of 0"),
        ("MP0", "size of 0"),
        ("128 MP2", "layer 2, 'MP2', needs an image"),
        ("GAP 16C3", "layer 2, '16C3', needs an image"),
        ("128 RELU 64", "layer 3, '64', comes after RELU"),
    ],
)
def test_faults_name_the_layer(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_layers(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8C3 MP2 8C3 MP2", (7, 7)), ("8C5v MP2 8C5v MP2", (4, 4)), ("8C5s2 8C5s2", (7, 7)), ("128", (28, 28))],
)
def test_output_size(text: str, size: tuple[int, int]) -> None:
    assert output_size(parse_layers(text), (28, 28)) == size


def test_output_size_refuses_to_shrink_to_nothing() -> None:
    with pytest.raises(ValueError, match="layer 3"):
        output_size(parse_layers("MP2 MP2 MP3"), (8, 8))


@pytest.mark.parametrize(
    ("layers", "forward"),
    [
        ("", [784 * 10]),
        ("300", [784 * 300, 300 * 10]),
        ("300 RELU", [784 * 300, 300 * 10]),
        ("8C5v MP2 16C3s2 BN D0.3 64", [24**2 * 25 * 8, 6**2 * 9 * 8 * 16, 36 * 16 * 64, 64 * 10]),
        ("8C3 GAP", [784 * 9 * 8, 8 * 10]),
    ],
)
def test_operations_are_counted_by_the_book(layers: str, forward: list[int]) -> None:
    """Two per multiplication; forward, for the weights and for the input, but for the images' own gradient."""
    multiplications = 3 * sum(forward) - forward[0]
    assert training_operations(parse_layers(layers), (28, 28), 10) == 2 * multiplications


@pytest.mark.parametrize("layers", ["", "300", "8C3 MP2 16C3 64"])
def test_colours_are_more_work_for_the_first_layer_alone(layers: str) -> None:
    """Whose images need no gradient: twice its multiplications, for the output and for the weights."""
    grey, coloured = (training_operations(parse_layers(layers), (28, 28), 10, channels) for channels in (1, 3))
    units = {"": 10, "300": 300, "8C3 MP2 16C3 64": 9 * 8}[layers]
    assert coloured - grey == 2 * 2 * 784 * units * (3 - 1)
