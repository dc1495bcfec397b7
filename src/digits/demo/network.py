"""A Keras network as a list of operations and one array of weights, for src/digits/demo/forward.js."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError

ACTIVATIONS = ("elu", "gelu", "leaky_relu", "linear", "relu", "sigmoid", "silu", "tanh")
_FEATURES = 2000
# of a layer: the name of its class, its configuration, its weights
Described = tuple[str, dict[str, Any], list[NDArray[np.floating]]]


class Packed:
    """Arrays one after the other as float16, each divided by a power of two so that its largest value is at most 1.

    So no value overflows, small weights keep their digits, and whole numbers up to 2,048 are exact.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float16]] = []

    def add(self, values: NDArray[np.floating] | float) -> dict[str, float]:
        """Append an array of any shape; returns where it is: start, length (values) and the factor `times`."""
        flat = np.asarray(values, np.float32).ravel()
        times = float(2.0 ** np.ceil(np.log2(max(np.abs(flat).max(initial=0), 2.0**-100))))
        start = sum(map(len, self._parts))
        self._parts.append((flat / times).astype("<f2"))
        return {"start": start, "length": len(flat), "times": times}

    def content(self) -> bytes:
        """All values, little-endian, two bytes each."""
        return b"".join(part.tobytes() for part in self._parts)


def described(network: Any) -> list[Described]:
    """The layers of a keras.Sequential in the order in which it computes them."""
    return [(type(layer).__name__, layer.get_config(), layer.get_weights()) for layer in network.layers]


def operations(layers: Iterable[Described], packed: Packed) -> list[dict[str, Any]]:
    """What forward.js computes, one after the other; the weights are added to `packed`.

    Batch normalisation becomes a scale and a shift. Raises UserError, naming it, for a layer or an activation that
    forward.js does not have.
    """
    found: list[dict[str, Any]] = []
    for kind, config, weights in layers:
        match kind:
            case "Conv2D":
                shape = {"kernel": config["kernel_size"], "stride": config["strides"][0]}
                found.append({"kind": "convolution", **shape, "same": config["padding"] == "same"})
            case "MaxPooling2D" | "AveragePooling2D":
                found.append({"kind": "pooling", "size": config["pool_size"][0], "max": kind.startswith("Max")})
            case "GlobalAveragePooling2D":
                found.append({"kind": "mean"})
            case "FusedBatchNormalization":
                gamma, beta, mean, variance = weights
                scale = gamma / np.sqrt(variance + config["epsilon"])
                weights = [scale, beta - mean * scale]  # noqa: PLW2901 - what is left of it after training
                found.append({"kind": "scale"})
            case "Dense":
                found.append({"kind": "dense"})
            case "Activation" | "ReLU" | "Flatten" | "ByteDropout":
                weights = []  # noqa: PLW2901 - the state of dropout's random numbers; activations follow
            case _:
                raise UserError(f"make demo cannot compute a layer of kind {kind}; BLEND=... names another blend")
        if weights:
            found[-1] |= {"weights": packed.add(weights[0]), "bias": packed.add(weights[1])}
        name = "relu" if kind == "ReLU" else config.get("activation", "linear")
        if name not in ACTIVATIONS:
            raise UserError(f"make demo cannot compute the activation {name!r}; BLEND=... names another blend")
        if name != "linear":
            found.append({"kind": "activation", "name": name})
    return found


def hidden_features(network: Any, images: NDArray[np.float32], batch: int = 500) -> NDArray[np.float32]:
    """What a dense layer is given, (n, features), of normalised images, (n, h, w, channels).

    It is the first one that is given at most _FEATURES values, else the one that is given the fewest. The later ones
    hardly tell images of a class apart, so that a slim 0 would be alike a blot.
    """
    layers = [*network.layers]
    dense = {n: layer.get_weights()[0].shape[0] for n, layer in enumerate(layers) if type(layer).__name__ == "Dense"}
    chosen = next((n for n, given in dense.items() if given <= _FEATURES), min(dense, key=lambda n: dense[n]))
    parts = []
    for first in range(0, len(images), batch):
        values = images[first : first + batch]
        for layer in layers[:chosen]:
            values = layer(values, training=False)
        parts.append(np.asarray(values, np.float32).reshape(len(values), -1))
    return np.concatenate(parts)
