r"""The notation of networks in params.yaml: `16C3 16C3 MP2 D0.3 128`, one word per layer, input to output.

| word      | layer                                                                 |
|-----------|-----------------------------------------------------------------------|
| `32C5`    | convolution, 32 filters of 5x5, padding `same`, then the activation   |
| `32C5s2`  | the same with stride 2                                                |
| `32C5v`   | the same with padding `valid`; both: `32C5s2v`                        |
| `MP2`     | max-pooling over 2x2                                                  |
| `AP2`     | average pooling over 2x2                                              |
| `GAP`     | global average pooling: mean over the image, one number per filter    |
| `BN`      | batch normalisation                                                   |
| `D0.3`    | dropout of 30 % of the values                                         |
| `128`     | fully connected, 128 units, then the activation; flattens if needed |
| `RELU`    | as the last word: a relu of the final layer, before the softmax       |

The final layer, one unit per class, is not written: it follows from the competition. A relu of its outputs is a mistake
of some published recipes (`make recipes`): a class whose unit is never above 0 is never learned.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Conv:
    """Convolution of `kernel` x `kernel` pixels with `filters` outputs."""

    filters: int
    kernel: int
    stride: int
    padding: Literal["same", "valid"]


@dataclass(frozen=True)
class Pool:
    """Pooling over `size` x `size` pixels."""

    size: int
    kind: Literal["max", "average"]


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all pixels of each filter."""


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation."""


@dataclass(frozen=True)
class Dropout:
    """Dropout of the share `rate` of all values."""

    rate: float


@dataclass(frozen=True)
class Dense:
    """Fully connected layer of `units`."""

    units: int


@dataclass(frozen=True)
class FinalRelu:
    """A relu of the final layer's outputs, before the softmax."""


Layer = Conv | Pool | GlobalPool | BatchNorm | Dropout | Dense | FinalRelu

# the layer of a word, from the parts of the word in parentheses
_WORDS: Mapping[str, Callable[..., Layer]] = {
    r"(\d+)C(\d+)(?:s(\d+))?(v?)": lambda filters, kernel, stride, valid: Conv(
        int(filters), int(kernel), int(stride or 1), "valid" if valid else "same"
    ),
    r"MP(\d+)": lambda size: Pool(int(size), "max"),
    r"AP(\d+)": lambda size: Pool(int(size), "average"),
    r"GAP": GlobalPool,
    r"BN": BatchNorm,
    r"D(0?\.\d+|0)": lambda rate: Dropout(float(rate)),
    r"(\d+)": lambda units: Dense(int(units)),
    r"RELU": FinalRelu,
}
_EXAMPLES = "32C5, 32C5s2, 32C5v, MP2, AP2, GAP, BN, D0.3, 128, RELU"


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Layers of a network written as `text`.

    Raises ValueError, naming the word and its position, for a word that is not a layer, a size of 0, a convolution or
    pooling after the image has been flattened, and any layer after RELU.
    """
    layers: list[Layer] = []
    flat = False
    for position, word in enumerate(text.split(), start=1):
        layer = _parse_word(word, position)
        if layers and layers[-1] == FinalRelu():
            raise ValueError(f"layer {position}, {word!r}, comes after RELU, which must be the last word")
        if flat and isinstance(layer, Conv | Pool | GlobalPool):
            raise ValueError(f"layer {position}, {word!r}, needs an image, but the layers before it have flattened it")
        flat = flat or isinstance(layer, Dense | GlobalPool)
        layers.append(layer)
    return tuple(layers)


def output_size(layers: tuple[Layer, ...], image_shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width, in pixels, of an image after all convolutions and poolings.

    Raises ValueError, naming the layer, if nothing would be left.
    """
    height, width = image_shape
    for position, layer in enumerate(layers, start=1):
        height, width = (_side_after(layer, side) for side in (height, width))
        if height < 1 or width < 1:
            raise ValueError(
                f"nothing is left of a {image_shape[0]}x{image_shape[1]} image at layer {position}, {layer}"
            )
    return height, width


def _side_after(layer: Layer, side: int) -> int:
    """Height or width after a layer, of an image that had `side` pixels before it."""
    match layer:
        case Conv(_, kernel, stride, padding):
            return -(((kernel - 1 if padding == "valid" else 0) - side) // stride)
        case Pool(size, _):
            return side // size
    return side


def training_operations(
    layers: tuple[Layer, ...], image_shape: tuple[int, int], classes: int, channels: int = 1
) -> int:
    """Floating-point operations of convolutions and dense layers per training image, two per multiplication.

    The count has the forward pass and the gradients of weights and inputs, except the gradient of the image itself,
    which is not needed. It leaves out biases, activations, normalisation and the optimizer. channels: of the images.
    """
    (height, width), flat, forward = image_shape, 0, []
    for layer in layers:
        height, width = (_side_after(layer, side) for side in (height, width))
        match layer:
            case Conv(filters, kernel):
                forward.append(2 * height * width * kernel**2 * channels * filters)
                channels = filters
            case GlobalPool():
                flat = channels
            case Dense(units):
                forward.append(2 * (flat or height * width * channels) * units)
                flat = units
            case Pool() | BatchNorm() | Dropout() | FinalRelu():
                pass
    forward.append(2 * (flat or height * width * channels) * classes)
    return 3 * sum(forward) - forward[0]


def _parse_word(word: str, position: int) -> Layer:
    for pattern, make in _WORDS.items():
        if match := re.fullmatch(pattern, word):
            layer = make(*match.groups())
            if any(size == 0 for size in vars(layer).values() if isinstance(size, int)):
                raise ValueError(f"layer {position}, {word!r}, has a size of 0")
            return layer
    raise ValueError(f"layer {position}, {word!r}, is none of the known kinds: {_EXAMPLES}")
