"""Distributions of a search space's dimensions, and values drawn from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Trial = Any  # an optuna.Trial, or what suggests values as it does; Optuna takes too long to be imported for a type


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

    def suggest(self, trial: Trial, name: str) -> Any:
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

    def suggest(self, trial: Trial, name: str) -> Any:
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


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """A value for each dimension whose condition holds."""
    values: dict[str, Any] = {}
    for name, dimension in space.items():
        if dimension.holds(values):
            values[name] = dimension.distribution.suggest(trial, name)
    return values
