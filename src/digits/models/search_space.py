"""Search spaces of `tune`: the dimensions of each kind of model, and model parameters from suggested values."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Protocol

from digits.common.matching import hint
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


class Suggests(Protocol):
    """The part of optuna.Trial that suggests values."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of `choices`."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """An integer from low to high, both included."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """A number from low to high, in multiples of `step` or on a logarithmic scale."""


@dataclass(frozen=True)
class Categorical:
    """One of some values, as optuna.distributions.CategoricalDistribution."""

    choices: tuple[Any, ...]

    def narrow(self, values: Any) -> "Categorical":
        """The choices in `values`, a list or a single one. Raises ValueError for a value that is not a choice."""
        kept = tuple(values) if isinstance(values, list | tuple) else (values,)
        unknown = [value for value in kept if value not in self.choices]
        if unknown or not kept:
            raise ValueError(f"{unknown[0] if kept else '[]'!r} is none of {', '.join(map(str, self.choices))}")
        return Categorical(kept)

    def nearest(self, value: Any) -> Any:
        """The choice that is a value, or the nearest number to it; else the first choice."""
        if value in self.choices or not isinstance(value, int | float):
            return value if value in self.choices else self.choices[0]
        return min(self.choices, key=lambda choice: abs(choice - value))

    @property
    def frozen(self) -> bool:
        """Whether there is a single choice."""
        return len(self.choices) == 1

    def suggest(self, trial: Suggests, name: str) -> Any:
        """A value; the trial is not called if there is only one choice."""
        return self.choices[0] if self.frozen else trial.suggest_categorical(name, self.choices)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, as Optuna's IntDistribution if both are integers, else its FloatDistribution.

    step: numbers are multiples of it. log: drawn on a logarithmic scale.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def narrow(self, values: Any) -> "Range":
        """The range between two numbers, or a single number. Raises ValueError if they are outside this range."""
        ends = values if isinstance(values, list | tuple) else [values, values]
        numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
        if len(numbers) != 2 or len(ends) != 2:
            raise ValueError(f"{values!r} is neither a number nor a pair of a lower and an upper one")
        if self._integer and any(end != int(end) for end in numbers):
            raise ValueError(f"{values!r}, but only whole numbers are searched here")
        if not self.low <= numbers[0] <= numbers[1] <= self.high:
            raise ValueError(f"{values!r} does not lie within {self.low:g} to {self.high:g}")
        kind = int if self._integer else float
        step = self.step if self.step and kind(numbers[0]) < kind(numbers[1]) else None
        return Range(kind(numbers[0]), kind(numbers[1]), step, self.log)

    def nearest(self, value: float) -> float:
        """The number of the range that is nearest to a value."""
        inside = min(max(value, self.low), self.high)
        return inside if self.step is None else round(round(inside / self.step) * self.step, 6)

    @property
    def _integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def frozen(self) -> bool:
        """Whether there is a single number."""
        return self.low == self.high

    def suggest(self, trial: Suggests, name: str) -> Any:
        """A value, floats with three digits; the trial is not called if there is only one number."""
        if self.frozen:
            return self.low
        if self._integer:
            return trial.suggest_int(name, int(self.low), int(self.high))
        return float(f"{trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log):.3g}")


@dataclass(frozen=True)
class Dimension:
    """A parameter's distribution.

    condition: name of an earlier dimension and its values for which this one is suggested; None: always.
    """

    distribution: Categorical | Range
    condition: tuple[str, tuple[Any, ...]] | None = None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for the values of the earlier dimensions."""
        return self.condition is None or values.get(self.condition[0]) in self.condition[1]


Space = Mapping[str, Dimension]

# A network of blocks of convolutions, each with a pooling at its end, then dense layers. Values are relative to what
# they depend on, so that a random point is decent: the rate to what suits the optimizer and the batch, lengths in
# pixels to the size of the image. How long a network is trained is no dimension: each has the same time.
_CNN: Space = {
    "blocks": Dimension(Range(2, 4)),
    "convolutions": Dimension(Range(1, 3)),  # of each block but the last
    "last_convolutions": Dimension(Range(1, 2)),  # of the last block
    "filters": Dimension(Categorical((16, 24, 32, 48, 64))),  # of the first block; multiples of 8 suit matrix units
    "growth": Dimension(Categorical((1.5, 2.0))),  # of the filters, from block to block
    "kernel_size": Dimension(Categorical((3, 5))),
    "padding": Dimension(Categorical(("same", "valid"))),  # valid: in the convolutions that leave _SMALLEST pixels
    "pooling": Dimension(Categorical(("max-pooling", "average-pooling", "stride"))),  # at the end of a block
    "batch_norm": Dimension(Categorical((False, True))),  # after each convolution
    "block_dropout": Dimension(Range(0.0, 0.4, step=0.1)),  # after each block
    "head": Dimension(Categorical(("flatten", "global-pooling"))),
    "dense_layers": Dimension(Range(0, 1)),
    "units": Dimension(Categorical((64, 128, 256, 512)), condition=("dense_layers", (1,))),
    "dropout": Dimension(Range(0.0, 0.6, step=0.1)),  # before the dense layers
    "activation": Dimension(Categorical(("relu", "leaky_relu", "gelu", "silu"))),
    "optimizer": Dimension(Categorical(("adam", "muon", "sgd"))),
    "rate": Dimension(
        Range(0.25, 4.0, log=True)
    ),  # peak learning rate, as a multiple of what suits optimizer and batch
    "weight_decay": Dimension(Range(0.003, 0.3, log=True), condition=("optimizer", ("muon",))),
    "warmup": Dimension(Range(0.05, 0.4)),
    "batch_size": Dimension(Categorical((64, 128, 256))),
    "label_smoothing": Dimension(Range(0.0, 0.15, step=0.05)),
    "rotation": Dimension(Range(0.0, 15.0)),
    "zoom": Dimension(Range(0.0, 0.2)),
    "shift": Dimension(Range(0.0, 0.1)),  # share of the size
    "elastic": Dimension(Range(0.0, 0.04)),  # share of the size
    "flip": Dimension(Categorical((False, True))),
    "tta": Dimension(
        Categorical(("none", "shifts", "all"))
    ),  # views that are added to the image, and to its mirror image
}
_MLP: Space = {
    "hidden_layers": Dimension(Range(1, 3)),
    "width_1": Dimension(Categorical((32, 64, 128, 256, 512))),
    "width_2": Dimension(Categorical((32, 64, 128, 256, 512)), condition=("hidden_layers", (2, 3))),
    "width_3": Dimension(Categorical((32, 64, 128, 256)), condition=("hidden_layers", (3,))),
    "activation": Dimension(Categorical(("relu", "tanh", "logistic"))),
    "solver": Dimension(Categorical(("adam", "sgd"))),
    "alpha": Dimension(Range(1e-6, 1e-1, log=True)),
    "learning_rate": Dimension(Range(1e-4, 1e-2, log=True), condition=("solver", ("adam",))),
    "sgd_learning_rate": Dimension(Range(1e-2, 0.5, log=True), condition=("solver", ("sgd",))),
    "batch_size": Dimension(Categorical((64, 128, 200, 500))),
}
SPACES: Mapping[str, Space] = {"cnn": _CNN, "mlp": _MLP}


def narrow_space(kind: str, narrowed: Mapping[str, Any]) -> Space:
    """The space of a kind of model, some dimensions narrowed to a list of choices or two ends, or frozen to a value.

    Dimensions of other kinds are passed over. Raises ValueError, naming the dimension, for an unknown one and for
    values outside it.
    """
    space = dict(SPACES[kind])
    for name, values in narrowed.items():
        if name not in space and any(name in other for other in SPACES.values()):
            continue
        if name not in space:
            raise ValueError(f"{name}: no parameter of that name can be searched{hint(name, space)}")
        try:
            space[name] = Dimension(space[name].distribution.narrow(values), space[name].condition)
        except ValueError as error:
            raise ValueError(f"{name} = {error}") from None
    return space


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


def suggest(trial: Suggests, space: Space) -> dict[str, Any]:
    """A value for each dimension whose condition holds."""
    values: dict[str, Any] = {}
    for name, dimension in space.items():
        if dimension.holds(values):
            values[name] = dimension.distribution.suggest(trial, name)
    return values


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


_FEWEST = 8  # filters of a first block
_SMALLEST = 8  # pixels that an unpadded convolution leaves at least; smaller images are padded
_LEAST_POOLED = 2  # pixels of an image that is still pooled
_RATES = {"adam": 2e-3, "muon": 3e-3, "sgd": 5e-2}  # peak learning rates that suit batches of _BATCH images
_BATCH = 128
_OPTIMIZERS: Mapping[str, dict[str, Any]] = {"sgd": {"name": "sgd", "momentum": 0.9, "nesterov": True}}
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
        **{"learning_rate": rate, "sgd_learning_rate": rate},
        **{name: model[name] for name in ("activation", "solver", "alpha", "batch_size")},
    }


def _mlp(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [values[f"width_{layer + 1}"] for layer in range(values["hidden_layers"])],
        "learning_rate_init": values.get("learning_rate", values.get("sgd_learning_rate")),
        **{name: values[name] for name in ("activation", "solver", "alpha", "batch_size")},
    }
