"""From the overrides of a trial to its fits: checks the model that they describe, and fits it within limits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from digits.common.logs import log
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, run_in_subprocess
from digits.config import CnnSpec, MlpSpec
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.models.architecture import output_size, parse_layers, training_operations
from digits.training.crossval import preload
from digits.tuning.records import Overrides, Result
from digits.tuning.trial import Task, evaluate


@dataclass(frozen=True)
class Evaluator:
    """Fits a model with overrides of its parameters.

    default: the parameters, with a value for every `auto`. normalise: used unless the overrides have another. rungs:
    epochs of the fits of a trial, ascending. max_cost: most multiplications of a network, and most seconds of its first
    fit, as multiples of the default's. timeout: seconds of a trial. seconds_left: of the budget. default_seconds: of
    the default's first fit, infinite until it was measured. stop: once it is set, running fits are ended. seconds: of
    fitting, appended to by each trial and each full fit.
    """

    data: Dataset
    default: dict[str, Any]
    normalise: str
    rungs: tuple[int, ...]
    max_cost: float
    timeout: float
    seconds_left: Callable[[], float]
    default_seconds: Callable[[], float]
    stop: threading.Event
    seconds: list[float] = field(default_factory=list)

    def evaluate(self, overrides: Overrides, seed: int, fold: int, report: Callable[[Result], bool]) -> None:
        """Fit one trial; report(result) returns after each fit whether to continue with the next rung.

        Raises ValueError if the model is not valid, too large or too slow, ProcessDiedError if a fit fails.
        """
        results: list[Result] = []

        def keep(result: Result) -> bool:
            results.append(result)
            return report(result)

        first_timeout = self.max_cost * self.default_seconds()
        try:
            self._fit(overrides, seed, fold, self.rungs, keep, first_timeout)
        except ProcessTimeoutError:
            if results or first_timeout > self.timeout or self.seconds_left() <= 0:
                raise
            cause = f"too slow: a first fit of over {first_timeout:.0f} s, {self.max_cost:g} times the default's"
            raise ValueError(cause) from None

    def fit_full(self, overrides: Overrides, seed: int, fold: int) -> Result:
        """One fit at the highest rung. Raises the same errors as `evaluate`."""
        results: list[Result] = []
        self._fit(overrides, seed, fold, self.rungs[-1:], results.append, inf)
        return results[0]

    def _fit(
        self,
        overrides: Overrides,
        seed: int,
        fold: int,
        rungs: tuple[int, ...],
        report: Callable[[Result], Any],
        first_timeout: float,
    ) -> None:
        model, normalise = self._model(overrides)
        log.info("fold %d, seed %d, %s epochs, normalise %s: %s", fold, seed, rungs, normalise, model)
        task = Task(self.data.folder, model, normalise, seed, fold, rungs)
        modules, seconds = preload(model["kind"]), list[float]()

        def count(result: Result) -> Any:
            seconds.append(result["seconds"])
            return report(result)

        started = monotonic()
        timeout = min(self.timeout, max(self.seconds_left(), 1.0))
        try:
            with self.ending_all():
                run_in_subprocess(evaluate, task, count, timeout, modules, first_timeout, self.stop.is_set)
        except ProcessDiedError:
            seconds.append(monotonic() - started - sum(seconds))
            raise
        finally:
            self.seconds.append(sum(seconds))

    @contextmanager
    def ending_all(self) -> Iterator[None]:
        """End all fits if the block raises anything but ProcessDiedError: Optuna would wait for the others."""
        try:
            yield
        except ProcessDiedError:
            raise
        except BaseException:
            self.stop.set()
            raise

    def _model(self, overrides: Overrides) -> tuple[dict[str, Any], str]:
        """Parameters and normalisation. Raises ValueError if the model is not valid or too large."""
        model = overlay(self.default, {name: value for name, value in overrides.items() if name != "normalise"})
        normalise = overrides.get("normalise", self.normalise)
        if self.default["kind"] == "mlp":
            return MlpSpec.model_validate(model).model_dump(mode="json"), normalise
        spec = CnnSpec.model_validate(model)
        layers, default_layers = parse_layers(spec.layers), parse_layers(self.default["layers"])
        output_size(layers, self.data.image_shape)
        images = self.data.image_shape, self.data.classes, self.data.channels
        size, default_size = (training_operations(each, *images) for each in (layers, default_layers))
        if size > self.max_cost * default_size:
            raise ValueError(f"too large: {size / default_size:.1f} times the multiplications of the default")
        return spec.model_dump(mode="json"), normalise
