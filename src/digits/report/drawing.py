"""A network as a table: of each layer what it does, the shape of its output, its weights and its multiplications."""

from math import prod
from typing import NamedTuple

from digits.models.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    FinalRelu,
    GlobalPool,
    Layer,
    Pool,
    output_size,
)


class Row(NamedTuple):
    """A layer. shape: of its output, (height, width, channels) or (units,). multiplications: per image, forwards."""

    words: str
    shape: tuple[int, ...]
    weights: int = 0
    multiplications: int = 0


def drawn(layers: tuple[Layer, ...], image_shape: tuple[int, int], classes: int, channels: int = 1) -> list[Row]:
    """The image, each layer and the final layer, whose units are the classes.

    weights: with biases and the running statistics of batch normalisation. multiplications: of convolutions and fully
    connected layers, as in `training_operations`. Raises ValueError if nothing is left of the image at a layer.
    """
    rows = [Row("image", (*image_shape, channels))]
    for layer in layers:
        if not isinstance(layer, FinalRelu):
            rows.append(_row(layer, rows[-1].shape))
    final = " and a relu" if FinalRelu() in layers else ""
    return [*rows, _row(Dense(classes), rows[-1].shape)._replace(words=f"output, one unit per class{final}")]


def _row(layer: Layer, given: tuple[int, ...]) -> Row:
    """A layer that is given values of a shape."""
    size, channels = given[:-1], given[-1]
    if isinstance(layer, Conv | Pool):
        size = output_size((layer,), (given[0], given[1]))
    match layer:
        case Conv(filters, kernel, stride, padding):
            moved = f", stride {stride}" if stride > 1 else ""
            words = f"convolution, {filters} filters of {kernel} × {kernel}{moved}, padding {padding}"
            taken = kernel**2 * channels * filters
            return Row(words, (*size, filters), taken + filters, prod(size) * taken)
        case Pool(side, kind):
            return Row(f"{kind} pooling over {side} × {side}", (*size, channels))
        case GlobalPool():
            return Row("mean over the image", (channels,))
        case BatchNorm():
            return Row("batch normalisation", given, 4 * channels)
        case Dropout(rate):
            return Row(f"dropout of {100 * rate:g} %", given)
        case Dense(units):
            taken = prod(given) * units
            return Row(f"fully connected, {units} units", (units,), taken + units, taken)
    raise TypeError(layer)
