"""The fits that a search asks for: what the overrides of a trial describe, fitted apart, with limits."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from digits.common.logs import log
from digits.common.processes import ProcessDiedError, ProcessTimeoutError
from digits.config import CnnSpec, MlpSpec
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.models.architecture import output_size, parse_layers, training_operations
from digits.tuning.search import Overrides, Result
from digits.tuning.trial import Order, judge_in_subprocess


@dataclass(frozen=True)
class Fits:
    """Fits of a model with this or that laid over its parameters.

    default: the parameters, settled. normalise: what is used where the overrides do not say. lengths: of the fits of a
    trial, in epochs. largest: most multiplications of a network, and most seconds of its first fit, in those of the
    default. timeout: seconds of a trial at most. left: seconds of the budget. usual: seconds of the default's first
    fit, infinite where they are not known yet. stopped: once it is set, no fit goes on. seconds: hears how long each
    trial and each single fit was fitted.
    """

    data: Dataset
    default: dict[str, Any]
    normalise: str
    lengths: tuple[int, ...]
    largest: float
    timeout: float
    left: Callable[[], float]
    usual: Callable[[], float]
    stopped: threading.Event
    seconds: list[float] = field(default_factory=list)

    def judge(self, overrides: Overrides, seed: int, fold: int, answer: Callable[[Result], bool]) -> None:
        """One trial; answer(result) says after each fit whether a longer one is wanted.

        Raises ValueError where the overrides are no model, too large or too slow, ProcessDiedError where a fit dies.
        """
        results: list[Result] = []

        def count(result: Result) -> bool:
            results.append(result)
            return answer(result)

        first = self.largest * self.usual()
        try:
            self._fit(overrides, seed, fold, self.lengths, count, first)
        except ProcessTimeoutError:
            if results or first > self.timeout or self.left() <= 0:
                raise
            cause = f"a first fit of more than {first:.0f} s, {self.largest:g} times the default's"
            raise ValueError(cause) from None

    def full(self, overrides: Overrides, seed: int, fold: int) -> Result:
        """One fit of the full length. Raises as `judge` does."""
        found: list[Result] = []
        self._fit(overrides, seed, fold, self.lengths[-1:], found.append, inf)
        return found[0]

    def _fit(
        self,
        overrides: Overrides,
        seed: int,
        fold: int,
        fits: tuple[int, ...],
        answer: Callable[[Result], Any],
        first: float,
    ) -> None:
        model, normalise = self._model(overrides)
        log.info("fold %d, seed %d, %s epochs, normalise %s: %s", fold, seed, fits, normalise, model)
        order = Order(self.data.folder, model, normalise, seed, fold, fits, model.get("threads", 1))
        fitted: list[float] = []

        def count(result: Result) -> Any:
            fitted.append(result["seconds"])
            return answer(result)

        started = monotonic()
        try:
            judge_in_subprocess(order, count, min(self.timeout, max(self.left(), 1.0)), first, self.stopped)
        except ProcessDiedError:
            fitted.append(monotonic() - started - sum(fitted))
            raise
        finally:
            self.seconds.append(sum(fitted))

    def _model(self, overrides: Overrides) -> tuple[dict[str, Any], str]:
        """Parameters and normalisation. Raises ValueError where they are no model, or too large."""
        model = overlay(self.default, {name: value for name, value in overrides.items() if name != "normalise"})
        normalise = overrides.get("normalise", self.normalise)
        if self.default["kind"] == "mlp":
            return MlpSpec.model_validate(model).model_dump(mode="json"), normalise
        spec = CnnSpec.model_validate(model)
        output_size(parse_layers(spec.layers), self.data.image_shape)
        size, usual = (
            training_operations(parse_layers(layers), self.data.image_shape, self.data.classes)
            for layers in (spec.layers, self.default["layers"])
        )
        if size > self.largest * usual:
            raise ValueError(f"{size / usual:.1f} times the multiplications of the default")
        return spec.model_dump(mode="json"), normalise
