"""Search spaces of `tune`: the dimensions of each kind of model, and model parameters from suggested values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from digits.common.matching import hint


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


Space = Mapping[str, Dimension]

# Optuna's sampler draws in the order of the names, so a new name changes the search from the same seed.
_CNN: Space = {
    "blocks": Dimension(Range(1, 4)),
    "convolutions": Dimension(Range(1, 3)),  # of a block
    "filters": Dimension(Categorical((16, 32, 48, 64))),  # of the first block; multiples of 16 suit matrix units
    "growth": Dimension(Categorical((1.0, 1.5, 2.0))),  # of the filters, from block to block
    "kernel_size": Dimension(Categorical((3, 5))),
    "pooling": Dimension(Categorical(("max-pooling", "average-pooling", "stride"))),  # at the end of a block
    "batch_norm": Dimension(Categorical((False, True))),  # after each convolution
    "block_dropout": Dimension(Range(0.0, 0.4, step=0.1)),  # after each block
    "head": Dimension(Categorical(("flatten", "global-pooling"))),
    "dense_layers": Dimension(Range(0, 2)),
    "units": Dimension(Categorical((64, 128, 256, 512)), condition=("dense_layers", (1, 2))),
    "dropout": Dimension(Range(0.0, 0.6, step=0.1)),  # before the dense layers
    "activation": Dimension(Categorical(("relu", "leaky_relu", "elu", "gelu", "silu"))),
    "kernel_initializer": Dimension(Categorical(("glorot_uniform", "he_uniform", "he_normal", "lecun_normal"))),
    "optimizer": Dimension(Categorical(("adam", "adamw", "nadam", "rmsprop", "sgd", "lion", "muon"))),
    "learning_rate": Dimension(
        Range(3e-4, 1e-2, log=True), condition=("optimizer", ("adam", "adamw", "nadam", "rmsprop", "muon"))
    ),
    "sgd_learning_rate": Dimension(Range(1e-2, 0.3, log=True), condition=("optimizer", ("sgd",))),
    "lion_learning_rate": Dimension(Range(5e-5, 2e-3, log=True), condition=("optimizer", ("lion",))),
    "momentum": Dimension(Range(0.8, 0.98), condition=("optimizer", ("sgd",))),
    "nesterov": Dimension(Categorical((False, True)), condition=("optimizer", ("sgd",))),
    "weight_decay": Dimension(Range(1e-4, 1e-1, log=True), condition=("optimizer", ("adamw", "lion", "muon"))),
    "l2": Dimension(Categorical((0.0, 1e-5, 1e-4)), condition=("optimizer", ("adam", "nadam", "rmsprop", "sgd"))),
    "clipnorm": Dimension(Categorical((None, 1.0, 5.0))),
    "schedule": Dimension(Categorical(("one-cycle", "cosine", "constant"))),
    "warmup": Dimension(Range(0.1, 0.4), condition=("schedule", ("one-cycle",))),
    "batch_size": Dimension(Categorical((64, 128, 256))),
    "label_smoothing": Dimension(Range(0.0, 0.15, step=0.05)),
    "rotation": Dimension(Range(0.0, 15.0)),
    "zoom": Dimension(Range(0.0, 0.2)),
    "shear": Dimension(Range(0.0, 10.0)),
    "shift": Dimension(Range(0.0, 3.0)),
    "elastic": Dimension(Range(0.0, 1.0)),
    "normalise": Dimension(Categorical(("/255", "standard", "minmax"))),
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

    Raises ValueError, naming the dimension, for an unknown one and for values outside it.
    """
    space = dict(SPACES[kind])
    for name, values in narrowed.items():
        if name not in space:
            raise ValueError(f"{name}: no parameter of that name can be searched{hint(name, space)}")
        try:
            space[name] = Dimension(space[name].distribution.narrow(values), space[name].condition)
        except ValueError as error:
            raise ValueError(f"{name} = {error}") from None
    return space


def values_inside(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are inside the space, without frozen dimensions, which are never suggested."""
    inside: dict[str, Any] = {}
    for name, value in values.items():
        try:
            space[name].distribution.narrow(value)
        except ValueError:
            continue
        if not space[name].distribution.frozen:
            inside[name] = value
    return inside


def suggest(trial: Suggests, space: Space) -> dict[str, Any]:
    """A value for each dimension whose condition holds."""
    values: dict[str, Any] = {}
    for name, dimension in space.items():
        if dimension.condition is None or values.get(dimension.condition[0]) in dimension.condition[1]:
            values[name] = dimension.distribution.suggest(trial, name)
    return values


def to_params(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Suggested values as overrides of a model's parameters in params.yaml; `normalise` may be among them."""
    return _TO_PARAMS[kind](values)


def _cnn(values: Mapping[str, Any]) -> dict[str, Any]:
    optimizer: dict[str, Any] = {"name": values["optimizer"]}
    if values["optimizer"] == "sgd":
        optimizer |= {"momentum": values["momentum"], "nesterov": values["nesterov"]}
    rates = ("learning_rate", "sgd_learning_rate", "lion_learning_rate")
    schedule = {"kind": values["schedule"]} | ({"warmup": values["warmup"]} if "warmup" in values else {})
    same = ("activation", "kernel_initializer", "clipnorm", "batch_size", "label_smoothing", "normalise")
    return {
        "layers": _layers(values),
        "optimizer": optimizer,
        "learning_rate": next(values[name] for name in rates if name in values),
        "schedule": schedule,
        "weight_decay": values.get("weight_decay"),
        "l2": values.get("l2", 0.0),
        "augment": {name: values[name] for name in ("rotation", "zoom", "shear", "shift", "elastic")},
        **{name: values[name] for name in same},
    }


def _layers(values: Mapping[str, Any]) -> str:
    words: list[str] = []
    strided, batch_norm = values["pooling"] == "stride", ["BN"] if values["batch_norm"] else []
    for block in range(values["blocks"]):
        filters = round(values["filters"] * values["growth"] ** block)
        convolution = f"{filters}C{values['kernel_size']}"
        words += [convolution, *batch_norm] * (values["convolutions"] - strided)
        words += [f"{convolution}s2", *batch_norm] if strided else [f"{values['pooling'][0].upper()}P2"]
        words += _dropout(values["block_dropout"])
    words += ["GAP"] if values["head"] == "global-pooling" else []
    words += _dropout(values["dropout"])
    return " ".join([*words, *[str(values.get("units"))] * values["dense_layers"]])


def _dropout(rate: float) -> list[str]:
    return [f"D{rate:g}"] if rate else []


def _mlp(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [values[f"width_{layer + 1}"] for layer in range(values["hidden_layers"])],
        "learning_rate_init": values.get("learning_rate", values.get("sgd_learning_rate")),
        **{name: values[name] for name in ("activation", "solver", "alpha", "batch_size")},
    }


_TO_PARAMS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"cnn": _cnn, "mlp": _mlp}
