"""What `tune` may search: the dimensions of each kind of model, and the parameters that drawn values stand for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from digits.common.matching import hint


class Draws(Protocol):
    """What draws values; an Optuna trial is one."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of `choices`."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """From low to high."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """From low to high, in multiples of `step` or on a logarithmic scale where it is said."""


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    options: tuple[Any, ...]

    def narrowed(self, wanted: Any) -> "Choice":
        """The options that `wanted`, a list or one of them, names. Raises ValueError for any other."""
        asked = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        strangers = [value for value in asked if value not in self.options]
        if strangers or not asked:
            raise ValueError(f"{strangers[0] if asked else '[]'!r} is none of {', '.join(map(str, self.options))}")
        return Choice(asked)

    @property
    def frozen(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.options) == 1

    def draw(self, trial: Draws, name: str) -> Any:
        """A value; one that is the only one is not drawn."""
        return self.options[0] if self.frozen else trial.suggest_categorical(name, self.options)


@dataclass(frozen=True)
class Span:
    """A number from `low` to `high`: whole where both are, in multiples of `step`, or drawn on a logarithmic scale."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def narrowed(self, wanted: Any) -> "Span":
        """From the lower to the upper of two numbers, or one number alone. Raises ValueError where it is outside."""
        ends = wanted if isinstance(wanted, list | tuple) else [wanted, wanted]
        numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
        if len(numbers) != 2 or len(ends) != 2:
            raise ValueError(f"{wanted!r} is neither a number nor a lower and an upper one")
        if self._whole and any(end != int(end) for end in numbers):
            raise ValueError(f"{wanted!r}, but only whole numbers are searched here")
        if not self.low <= numbers[0] <= numbers[1] <= self.high:
            raise ValueError(f"{wanted!r} does not lie within {self.low:g} to {self.high:g}")
        kind = int if self._whole else float
        on_grid = self.step if self.step and kind(numbers[0]) < kind(numbers[1]) else None
        return Span(kind(numbers[0]), kind(numbers[1]), on_grid, self.log)

    @property
    def _whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def frozen(self) -> bool:
        """Whether there is nothing to choose."""
        return self.low == self.high

    def draw(self, trial: Draws, name: str) -> Any:
        """A value; one that is the only one is not drawn."""
        if self.frozen:
            return self.low
        if self._whole:
            return trial.suggest_int(name, int(self.low), int(self.high))
        return float(f"{trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log):.3g}")


@dataclass(frozen=True)
class Dimension:
    """A range; `needs`: drawn only where the dimension of that name, which stands before it, has one of the values."""

    range: Choice | Span
    needs: tuple[str, tuple[Any, ...]] | None = None


Space = Mapping[str, Dimension]

_NETWORK: Space = {
    "blocks": Dimension(Span(1, 4)),
    "convolutions": Dimension(Span(1, 3)),  # of a block
    "filters": Dimension(Choice((16, 32, 48, 64))),  # of the first block; multiples of 16 suit matrix units
    "growth": Dimension(Choice((1.0, 1.5, 2.0))),  # of the filters, from block to block
    "kernel_size": Dimension(Choice((3, 5))),
    "downsampling": Dimension(Choice(("max-pooling", "average-pooling", "stride"))),  # at the end of a block
    "batch_norm": Dimension(Choice((False, True))),  # behind each convolution
    "block_dropout": Dimension(Span(0.0, 0.4, step=0.1)),  # behind each block
    "head": Dimension(Choice(("flatten", "global-pooling"))),
    "dense_layers": Dimension(Span(0, 2)),
    "units": Dimension(Choice((64, 128, 256, 512)), needs=("dense_layers", (1, 2))),
    "dropout": Dimension(Span(0.0, 0.6, step=0.1)),  # before the dense layers
    "activation": Dimension(Choice(("relu", "leaky_relu", "elu", "gelu", "silu"))),
    "kernel_initializer": Dimension(Choice(("glorot_uniform", "he_uniform", "he_normal", "lecun_normal"))),
    "optimizer": Dimension(Choice(("adam", "adamw", "nadam", "rmsprop", "sgd", "lion", "muon"))),
    "learning_rate": Dimension(
        Span(3e-4, 1e-2, log=True), needs=("optimizer", ("adam", "adamw", "nadam", "rmsprop", "muon"))
    ),
    "sgd_learning_rate": Dimension(Span(1e-2, 0.3, log=True), needs=("optimizer", ("sgd",))),
    "lion_learning_rate": Dimension(Span(5e-5, 2e-3, log=True), needs=("optimizer", ("lion",))),
    "momentum": Dimension(Span(0.8, 0.98), needs=("optimizer", ("sgd",))),
    "nesterov": Dimension(Choice((False, True)), needs=("optimizer", ("sgd",))),
    "weight_decay": Dimension(Span(1e-4, 1e-1, log=True), needs=("optimizer", ("adamw", "lion", "muon"))),
    "l2": Dimension(Choice((0.0, 1e-5, 1e-4)), needs=("optimizer", ("adam", "nadam", "rmsprop", "sgd"))),
    "clipnorm": Dimension(Choice((None, 1.0, 5.0))),
    "schedule": Dimension(Choice(("one-cycle", "cosine", "constant"))),
    "warmup": Dimension(Span(0.1, 0.4), needs=("schedule", ("one-cycle",))),
    "batch_size": Dimension(Choice((64, 128, 256))),
    "label_smoothing": Dimension(Span(0.0, 0.15, step=0.05)),
    "rotation": Dimension(Span(0.0, 15.0)),
    "zoom": Dimension(Span(0.0, 0.2)),
    "shear": Dimension(Span(0.0, 10.0)),
    "shift": Dimension(Span(0.0, 3.0)),
    "elastic": Dimension(Span(0.0, 1.0)),
    "normalise": Dimension(Choice(("/255", "standard", "minmax"))),
}
_PERCEPTRON: Space = {
    "hidden_layers": Dimension(Span(1, 3)),
    "width_1": Dimension(Choice((32, 64, 128, 256, 512))),
    "width_2": Dimension(Choice((32, 64, 128, 256, 512)), needs=("hidden_layers", (2, 3))),
    "width_3": Dimension(Choice((32, 64, 128, 256)), needs=("hidden_layers", (3,))),
    "activation": Dimension(Choice(("relu", "tanh", "logistic"))),
    "solver": Dimension(Choice(("adam", "sgd"))),
    "alpha": Dimension(Span(1e-6, 1e-1, log=True)),
    "learning_rate": Dimension(Span(1e-4, 1e-2, log=True), needs=("solver", ("adam",))),
    "sgd_learning_rate": Dimension(Span(1e-2, 0.5, log=True), needs=("solver", ("sgd",))),
    "batch_size": Dimension(Choice((64, 128, 200, 500))),
}
SPACES: Mapping[str, Space] = {"cnn": _NETWORK, "mlp": _PERCEPTRON}


def narrowed(kind: str, wanted: Mapping[str, Any]) -> Space:
    """The space of a kind of model, some dimensions narrowed to a list of values or two ends, or frozen to a value.

    Raises ValueError, naming the dimension, for one that there is not and for values outside it.
    """
    space = dict(SPACES[kind])
    for name, values in wanted.items():
        if name not in space:
            raise ValueError(f"{name}: there is nothing of that name to search{hint(name, space)}")
        try:
            space[name] = Dimension(space[name].range.narrowed(values), space[name].needs)
        except ValueError as error:
            raise ValueError(f"{name} = {error}") from None
    return space


def within(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some dimensions' values that lie in the space, but for frozen ones, which are never drawn."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            space[name].range.narrowed(value)
        except ValueError:
            continue
        if not space[name].range.frozen:
            found[name] = value
    return found


def draw(trial: Draws, space: Space) -> dict[str, Any]:
    """A value for each dimension that the values before it leave a sense."""
    drawn: dict[str, Any] = {}
    for name, dimension in space.items():
        if dimension.needs is None or drawn.get(dimension.needs[0]) in dimension.needs[1]:
            drawn[name] = dimension.range.draw(trial, name)
    return drawn


def parameters(kind: str, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What to put over a model's parameters, as in params.yaml; `normalise`, where it is drawn, among them."""
    return _TRANSLATED[kind](drawn)


def _network(drawn: Mapping[str, Any]) -> dict[str, Any]:
    optimizer: dict[str, Any] = {"name": drawn["optimizer"]}
    if drawn["optimizer"] == "sgd":
        optimizer |= {"momentum": drawn["momentum"], "nesterov": drawn["nesterov"]}
    rates = ("learning_rate", "sgd_learning_rate", "lion_learning_rate")
    schedule = {"kind": drawn["schedule"]} | ({"warmup": drawn["warmup"]} if "warmup" in drawn else {})
    same = ("activation", "kernel_initializer", "clipnorm", "batch_size", "label_smoothing", "normalise")
    return {
        "layers": _layers(drawn),
        "optimizer": optimizer,
        "learning_rate": next(drawn[name] for name in rates if name in drawn),
        "schedule": schedule,
        "weight_decay": drawn.get("weight_decay"),
        "l2": drawn.get("l2", 0.0),
        "augment": {name: drawn[name] for name in ("rotation", "zoom", "shear", "shift", "elastic")},
        **{name: drawn[name] for name in same},
    }


def _layers(drawn: Mapping[str, Any]) -> str:
    words: list[str] = []
    strided, normalised = drawn["downsampling"] == "stride", ["BN"] if drawn["batch_norm"] else []
    for block in range(drawn["blocks"]):
        filters = round(drawn["filters"] * drawn["growth"] ** block)
        convolution = f"{filters}C{drawn['kernel_size']}"
        words += [convolution, *normalised] * (drawn["convolutions"] - strided)
        words += [f"{convolution}s2", *normalised] if strided else [f"{drawn['downsampling'][0].upper()}P2"]
        words += _dropout(drawn["block_dropout"])
    words += ["GAP"] if drawn["head"] == "global-pooling" else []
    words += _dropout(drawn["dropout"])
    return " ".join([*words, *[str(drawn.get("units"))] * drawn["dense_layers"]])


def _dropout(rate: float) -> list[str]:
    return [f"D{rate:g}"] if rate else []


def _perceptron(drawn: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": [drawn[f"width_{layer + 1}"] for layer in range(drawn["hidden_layers"])],
        "learning_rate_init": drawn.get("learning_rate", drawn.get("sgd_learning_rate")),
        **{name: drawn[name] for name in ("activation", "solver", "alpha", "batch_size")},
    }


_TRANSLATED: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"cnn": _network, "mlp": _perceptron}
