"""Points of a search space: the model parameters that they describe, and the point that is nearest to a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from digits.models.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Pool,
    parse_layers,
    training_operations,
)
from digits.models.distributions import Space


@dataclass(frozen=True)
class Limits:
    """What networks of a search must suit.

    image_shape: height and width in pixels. classes, channels: of the images. operations: most of a network per
    training image, see models.architecture.training_operations; a larger one gets fewer filters.
    """

    image_shape: tuple[int, int]
    classes: int
    channels: int
    operations: float = inf


def to_params(kind: str, values: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Suggested values as overrides of a model's parameters in params.yaml."""
    return _mlp(values) if kind == "mlp" else _cnn(values, limits)


def nearest_values(space: Space, model: Mapping[str, Any], image_shape: tuple[int, int]) -> dict[str, Any]:
    """The point of a space that is nearest to a model's parameters, without frozen dimensions.

    It describes the same model if the space has it; else a similar one. {} for a network without convolutions.
    """
    read = _read_mlp(model) if model["kind"] == "mlp" else _read_cnn(model, image_shape)
    values: dict[str, Any] = {}
    for name, dimension in space.items() if read else ():
        if dimension.holds(values):
            values[name] = dimension.distribution.nearest(read[name])
    return {name: value for name, value in values.items() if not space[name].distribution.frozen}


_FEWEST = 8  # filters of a first block
_SMALLEST = 8  # pixels that an unpadded convolution leaves at least; smaller images are padded
_LEAST_POOLED = 2  # pixels of an image that is still pooled
_RATES = {"adam": 2e-3, "muon": 3e-3, "sgd": 5e-2}  # peak learning rates that suit batches of _BATCH images
_BATCH = 128
_OPTIMIZERS: Mapping[str, dict[str, Any]] = {"sgd": {"name": "sgd", "momentum": 0.9, "nesterov": True}}
_OF_MLP = ("deskew", "activation", "solver", "alpha", "batch_size")  # dimensions that are its parameters as they are
_SHIFTS = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))  # pixels: down, right
_VIEWS: Mapping[str, list[dict[str, Any]]] = {
    "none": [],
    "shifts": [{"shift": shift} for shift in _SHIFTS],
    "all": [
        *({"rotation": degrees} for degrees in (7.0, -7.0)),
        *({"zoom": share} for share in (0.07, -0.07)),
        *({"shift": shift} for shift in _SHIFTS),
    ],
}


def _cnn(values: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    side, optimizer = min(limits.image_shape), values["optimizer"]
    mirrored: list[dict[str, Any]] = [{"flip": True}] if values["flip"] and values["tta"] != "none" else []
    return {
        "layers": _within(values, limits),
        "optimizer": _OPTIMIZERS.get(optimizer, {"name": optimizer}),
        "learning_rate": _rounded(values["rate"] * usual_rate(optimizer, values["batch_size"])),
        "schedule": {"kind": "one-cycle", "warmup": values["warmup"]},
        "weight_decay": values.get("weight_decay"),
        "augment": {
            **{name: values[name] for name in ("rotation", "zoom", "flip")},
            **{name: _rounded(side * values[name]) for name in ("shift", "elastic")},
        },
        "tta": [*mirrored, *_VIEWS[values["tta"]]],
        **{name: values[name] for name in ("activation", "batch_size", "label_smoothing")},
    }


def usual_rate(optimizer: str, batch_size: int) -> float:
    """Peak learning rate that suits an optimizer; it grows with the square root of the batch, for sgd with the batch.

    After S. Malladi et al. (2022), On the SDEs and scaling rules for adaptive gradient algorithms, NeurIPS, section 1.
    """
    power = 1.0 if optimizer == "sgd" else 0.5
    return float(_RATES[optimizer] * (batch_size / _BATCH) ** power)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _within(values: Mapping[str, Any], limits: Limits) -> str:
    """The layers, with fewer filters than the values say where they would be too many for the limits."""
    images, filters = (limits.image_shape, limits.classes, limits.channels), values["filters"]
    while True:
        layers = _layers({**values, "filters": filters}, min(limits.image_shape))
        if filters <= _FEWEST or training_operations(parse_layers(layers), *images) <= limits.operations:
            return layers
        filters -= _FEWEST


def _layers(values: Mapping[str, Any], side: int) -> str:
    words: list[str] = []
    batch_norm, kernel = ["BN"] if values["batch_norm"] else [], values["kernel_size"]
    for block in range(values["blocks"]):
        last = block == values["blocks"] - 1
        convolution = f"{round(values['filters'] * values['growth'] ** block)}C{kernel}"
        count, pooled = values["last_convolutions" if last else "convolutions"], side >= _LEAST_POOLED
        strides = int(pooled and values["pooling"] == "stride")
        for _ in range(count - strides):
            valid = values["padding"] == "valid" and side - kernel + 1 >= _SMALLEST
            side -= (kernel - 1) * valid
            words += [convolution + "v" * valid, *batch_norm]
        words += [f"{convolution}s2", *batch_norm] if strides else [f"{values['pooling'][0].upper()}P2"] * pooled
        side = -(-side // 2) if strides else side // 2 if pooled else side
        words += _dropout(values["block_dropout"])
    words += ["GAP"] if values["head"] == "global-pooling" else []
    words += _dropout(values["dropout"])
    return " ".join([*words, *[str(values.get("units"))] * values["dense_layers"]])


def _dropout(rate: float) -> list[str]:
    return [f"D{rate:g}"] if rate else []


def _read_cnn(model: Mapping[str, Any], image_shape: tuple[int, int]) -> dict[str, Any]:
    """The values of the dimensions that a network has, as near as they come."""
    layers, side = parse_layers(model["layers"]), min(image_shape)
    convolutions = [layer for layer in layers if isinstance(layer, Conv)]
    if not convolutions:
        return {}
    first, last = convolutions[0], convolutions[-1]
    ends = [number for number, layer in enumerate(layers) if isinstance(layer, Pool) or getattr(layer, "stride", 1) > 1]
    counts = [
        sum(isinstance(layer, Conv) for layer in layers[after + 1 : end + 1])
        for after, end in pairwise([-1, *ends, len(layers) - 1])
    ]
    counts = [count for count in counts if count]
    dense = [layer.units for layer in layers if isinstance(layer, Dense)]
    last_pooling = max(ends, default=0)
    dropout = {layers.index(layer) > last_pooling: layer.rate for layer in layers if isinstance(layer, Dropout)}
    pools = {layer.kind for layer in layers if isinstance(layer, Pool)}
    optimizer, views = model["optimizer"]["name"], model["tta"]
    batch_size = model["batch_size"]
    return {
        "blocks": len(counts),
        "convolutions": max(counts[:-1], default=1),
        "last_convolutions": counts[-1],
        "pooling": f"{pools.pop()}-pooling" if pools else "stride",
        "filters": first.filters,
        "growth": (last.filters / first.filters) ** (1 / max(1, len(counts) - 1)),
        "kernel_size": first.kernel,
        "padding": "valid" if any(layer.padding == "valid" for layer in convolutions) else "same",
        "batch_norm": any(isinstance(layer, BatchNorm) for layer in layers),
        "block_dropout": dropout.get(False, 0.0),
        "head": "global-pooling" if any(isinstance(layer, GlobalPool) for layer in layers) else "flatten",
        "dense_layers": len(dense),
        "units": dense[0] if dense else 0,
        "dropout": dropout.get(True, 0.0),
        "optimizer": optimizer,
        "rate": model["learning_rate"] / usual_rate(optimizer if optimizer in _RATES else "adam", batch_size),
        "weight_decay": model["weight_decay"] or 0.0,
        "warmup": model["schedule"].get("warmup", 0.0),
        "flip": model["augment"]["flip"],
        "tta": "none" if not views else "all" if any(view["rotation"] or view["zoom"] for view in views) else "shifts",
        **{name: model[name] for name in ("activation", "batch_size", "label_smoothing")},
        **{name: model["augment"][name] for name in ("rotation", "zoom")},
        **{name: model["augment"][name] / side for name in ("shift", "elastic")},
    }


def _read_mlp(model: Mapping[str, Any]) -> dict[str, Any]:
    widths, rate = model["hidden_layer_sizes"], model["learning_rate_init"]
    return {
        "hidden_layers": len(widths),
        **{f"width_{layer}": width for layer, width in enumerate(widths, start=1)},
        "components": model["n_components"] or 0,
        **{"learning_rate": rate, "sgd_learning_rate": rate},
        **{name: model[name] for name in _OF_MLP},
    }


def _mlp(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [values[f"width_{layer + 1}"] for layer in range(values["hidden_layers"])],
        "n_components": values["components"] or None,
        "learning_rate_init": values.get("learning_rate", values.get("sgd_learning_rate")),
        **{name: values[name] for name in _OF_MLP},
    }
