"""Fits the units of runs, folds and refits, and saves each as soon as it is finished."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, cast

from threadpoolctl import threadpool_limits

from digits.common.errors import DiskError
from digits.common.executors import Place
from digits.common.logs import log, log_to
from digits.common.processes import Send
from digits.data.dataset import Dataset, load_dataset
from digits.models import NO_EARLY_STOPPING, OnEpoch, family
from digits.training.crossval import fit_fold
from digits.training.runs import RunFolder, RunSpec
from digits.training.schedule import Fit, epochs_in_time


def fit_fold_unit(data: Dataset, runs: Path, spec: RunSpec, fold: int, on_epoch: OnEpoch | None = None) -> None:
    """Fit a run's model without one fold, and save the unit."""
    folder = RunFolder(runs, spec)
    with _logged(folder, folder.fold(fold).name):
        fitted = fit_fold(data, fold, spec.model, spec.normalise, spec.seed, on_epoch)
        folder.save_unit(folder.fold(fold), fitted, data.labels[data.valid_rows(fold)])


def fit_refit_unit(data: Dataset, runs: Path, spec: RunSpec, fit: Fit, on_epoch: OnEpoch | None = None) -> None:
    """Refit a network on all labelled images, for the epochs and from the seed of `fit`, and save the unit.

    If `on_epoch` shortens it, the unit is named after the epochs that it had.
    """
    folder = RunFolder(runs, spec)
    model = spec.model | {"epochs": fit.epochs, "min_steps": 0} | NO_EARLY_STOPPING  # the plan respects min_steps
    with _logged(folder, folder.refit(fit).name):
        fitted = fit_fold(data, None, model, spec.normalise, fit.seed, on_epoch)
        made = len(cast(Any, fitted.model).history_)
        unit = folder.refit(fit if made == fit.epochs else Fit(None, made, fit.seed, planned=fit.epochs))
        folder.save_unit(unit, fitted, data.labels[:0], epochs=made, planned_epochs=fit.epochs)


@contextmanager
def _logged(folder: RunFolder, unit: str) -> Iterator[None]:
    folder.open()
    with log_to(folder.path / "log.txt"):
        log.info("%s starts: %s", unit, folder.spec)
        yield


def log_epochs(notify: Callable[[int, int, str], Any]) -> OnEpoch:
    """A callback that logs each epoch, and passes its number, that of the last one and a figure to `notify`."""

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        log.info("epoch %d of %d: %s", epoch, epochs, record)
        figure = next(name for name in ("valid_accuracy", "accuracy", "loss") if name in record)
        notify(epoch, epochs, f"{figure.replace('_', ' ')} {record[figure]:.4f}")

    return on_epoch


def end_in_time(
    fit: Fit, end: float, epochs_to_predict: float, on_epoch: OnEpoch, clock: Callable[[], float] = monotonic
) -> OnEpoch:
    """`on_epoch`, which also shortens a refit that would end after `end`, a time on `clock`, at its last epoch's speed.

    epochs_to_predict: time for its predictions, in epochs. The first epoch's speed is not used: tracing is part of it.
    """
    before: float | None = None

    def shorten(epoch: int, epochs: int, record: dict[str, float]) -> int | None:
        nonlocal before
        on_epoch(epoch, epochs, record)
        last, before = before, clock()
        if last is None or epoch == epochs:
            return None
        in_time = epochs_in_time(fit, epoch, (end - before) / (before - last) - epochs_to_predict)
        if in_time != epochs:
            log.info("shortened to %d of %d epochs; the last one took %.1f s", in_time, fit.epochs, before - last)
        return in_time

    return shorten


def fit_alone(unit: tuple[RunSpec, int], place: Place, send: Send) -> None:
    """`fit_fold_unit` on one thread, on the memory-mapped arrays of a folder; sends the error if it fails."""
    spec, fold = unit
    logging.getLogger("digits").setLevel(logging.INFO)
    family(spec.model["kind"])  # a library that is loaded later would not be limited to one thread
    # one thread per fit: more would wait for each other, and one gives the same sums on any number of workers and cores
    with threadpool_limits(1):
        try:
            fit_fold_unit(load_dataset(place.data), place.results, spec, fold)
        except DiskError:
            raise  # the other fits could not be saved either
        except Exception as error:
            with log_to(RunFolder(place.results, spec).path / "log.txt"):
                log.exception("fold %d failed", fold)
            send(" ".join(f"{type(error).__name__}: {error}".split()))
