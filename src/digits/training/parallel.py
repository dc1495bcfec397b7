"""Fits the missing folds of several runs in parallel: those of `make baseline`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Executor, Job, Place, run_job
from digits.common.processes import ProcessDiedError, run_in_threads
from digits.data.dataset import Dataset
from digits.training.crossval import preload
from digits.training.fitting import fit_alone
from digits.training.runs import RunFolder, RunSpec


@dataclass(frozen=True)
class Work:
    """Number of fits that were started, and one line for each that failed."""

    fits: int
    failures: tuple[str, ...] = ()


def fit_in_parallel(
    data: Dataset, runs: Path, specs: Sequence[RunSpec], executor: Executor, console: Console, title: str, most: int = 0
) -> Work:
    """Fit the missing folds of several runs on the slots of an executor, on one thread each.

    most: fits at a time, also where a cluster has more slots; 0: one on each slot.

    A fit that fails is reported at once, and the others continue. Raises UserError if a process is killed or a fit
    cannot be saved, KeyboardInterrupt with the number of finished fits.
    """
    for spec in specs:
        RunFolder(runs, spec).check()
    # fold by fold, so that the time left can be estimated after the first fold
    missing = [(spec, fold) for fold in range(data.fold_count) for spec in specs if not RunFolder(runs, spec).has(fold)]
    if not missing:
        return Work(0)
    for spec, _ in missing:
        RunFolder(runs, spec).open()
    place, failures = Place(data.folder, runs), list[str]()
    modules = preload(*(spec.model["kind"] for spec in specs))
    with console.bar(title, len(missing), "fits") as bar:

        def after_fit(unit: tuple[RunSpec, int], failure: str) -> None:
            if failure:
                log_file = RunFolder(runs, unit[0]).path / "log.txt"
                failures.append(f"{_title(unit)} failed: {failure}; the traceback is in {log_file}")
                console.warn(failures[-1])
            bar.advance(1, _title(unit))

        try:
            fit = partial(_fit, executor, place, modules)
            run_in_threads(fit, missing, min(most or executor.threads, executor.threads, len(missing)), after_fit)
        except KeyboardInterrupt:
            finished = sum(RunFolder(runs, spec).has(fold) for spec, fold in missing)
            raise KeyboardInterrupt(f"{finished} of {len(missing)} fits are finished") from None
    return Work(len(missing), tuple(failures))


def _title(unit: tuple[RunSpec, int]) -> str:
    return f"{unit[0].name}, fold {unit[1] + 1}"


def _fit(
    executor: Executor, place: Place, modules: Sequence[str], unit: tuple[RunSpec, int], stop: threading.Event
) -> str:
    """Fit a fold; returns "", or why that failed. Raises UserError if its process is killed, or cannot save it."""
    failures = list[str]()
    try:
        run_job(executor, Job(fit_alone, unit, place, modules), failures.append, stop.is_set)
    except ProcessDiedError as error:
        raise UserError(
            f"{_title(unit)}: {error}; finished fits are kept, and the same command continues, best with WORKERS=1, "
            "which needs the least memory"
        ) from None
    return "".join(failures)
