"""From the overrides of a trial to its fits: checks the model that they describe, and fits it within limits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError

from digits.common.executors import Executor, Job, Place, run_job
from digits.common.logs import log
from digits.common.processes import ProcessDiedError
from digits.config import CnnSpec, MlpSpec
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.models.architecture import output_size, parse_layers, training_operations
from digits.training.crossval import preload
from digits.tuning.records import Overrides, Result
from digits.tuning.trial import Pace, Task, evaluate

_PATIENCE = 3.0  # times its seconds that a fit may take, as on a machine that is busy
_TO_START = 60.0  # further seconds


@dataclass(frozen=True)
class Evaluator:
    """Fits a model with overrides of its parameters.

    default: the parameters, with a value for every `auto`. rungs: seconds of the fits of a trial, ascending. pace: of
    the default. seconds_left: of the budget. stop: once it is set, running fits are ended. executor: runs the
    fits. seconds: of fitting, appended to by each trial and each full fit.
    """

    data: Dataset
    default: dict[str, Any]
    normalise: str
    rungs: tuple[float, ...]
    pace: Pace
    seconds_left: Callable[[], float]
    stop: threading.Event
    executor: Executor
    seconds: list[float] = field(default_factory=list)

    def evaluate(self, overrides: Overrides, seed: int, fold: int, report: Callable[[Result], bool]) -> None:
        """Fit one trial; report(result) returns after each fit whether to continue with the next rung.

        Raises ValueError if the model is not valid, ProcessDiedError if a fit fails.
        """
        self._fit(overrides, seed, fold, self.rungs, report)

    def fit_full(self, overrides: Overrides, seed: int, fold: int) -> Result:
        """One fit at the highest rung. Raises the same errors as `evaluate`."""
        results: list[Result] = []
        self._fit(overrides, seed, fold, self.rungs[-1:], results.append)
        return results[0]

    def _fit(
        self, overrides: Overrides, seed: int, fold: int, rungs: tuple[float, ...], report: Callable[[Result], Any]
    ) -> None:
        model, pace = self._model(overrides)
        log.info("fold %d, seed %d, %s s, %s", fold, seed, rungs, model)
        task = Task(model, self.normalise, seed, fold, rungs, pace)
        modules, seconds = preload(model["kind"]), list[float]()

        def count(result: Result) -> Any:
            seconds.append(result["seconds"])
            return report(result)

        started = monotonic()
        first, timeout = (_PATIENCE * each + _TO_START for each in (rungs[0], sum(rungs)))
        timeout = min(timeout, max(self.seconds_left(), 1.0))
        job = Job(evaluate, task, Place(self.data.folder), modules, (), timeout, first, asks=True)
        try:
            with self.ending_all():
                run_job(self.executor, job, count, self.stop.is_set)
        except ProcessDiedError:
            seconds.append(monotonic() - started - sum(seconds))
            raise
        finally:
            self.seconds.append(sum(seconds))

    @contextmanager
    def ending_all(self) -> Iterator[None]:
        """End all fits if the block raises anything that ends the search: Optuna would wait for the others."""
        try:
            yield
        except (ProcessDiedError, UpdateFinishedTrialError):
            raise
        except BaseException:
            self.stop.set()
            raise

    def _model(self, overrides: Overrides) -> tuple[dict[str, Any], Pace]:
        """Parameters, and the pace that their multiplications suggest. Raises ValueError if the model is not valid."""
        model = overlay(self.default, overrides)
        if self.default["kind"] == "mlp":
            return MlpSpec.model_validate(model).model_dump(mode="json"), self.pace
        spec = CnnSpec.model_validate(model)
        layers, default_layers = parse_layers(spec.layers), parse_layers(self.default["layers"])
        output_size(layers, self.data.image_shape)
        images = self.data.image_shape, self.data.classes, self.data.channels
        size, default_size = (training_operations(each, *images) for each in (layers, default_layers))
        slower = size / default_size
        pace = replace(
            self.pace, predict=self.pace.predict * slower, images_per_second=self.pace.images_per_second / slower
        )
        return spec.model_dump(mode="json"), pace
