"""Fits whatever is missing of some runs, side by side where that pays, and keeps every finished fit at once."""

import logging
from collections.abc import Sequence
from pathlib import Path

import joblib
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from digits.console import Bar, Console
from digits.crossval import fit_fold
from digits.logs import log, log_to
from digits.prepared import Prepared, load_prepared
from digits.runs import RunFolder, RunSpec


def fit_unit(data: Prepared, runs: Path, spec: RunSpec, fold: int, bar: Bar | None = None) -> None:
    """Fit one run on one fold and save it; `bar` advances epoch by epoch."""
    folder = RunFolder(runs, spec)
    folder.open()

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        log.info("fold %d, epoch %d of %d: %s", fold, epoch, epochs, record)
        if bar:
            bar.advance(1 / epochs, f"fold {fold + 1} of {data.fold_count}, accuracy {record['accuracy']:.4f}")

    with log_to(folder.path / "log.txt"):
        log.info("fold %d starts: %s", fold, spec)
        fitted = fit_fold(data, fold, spec.model, spec.normalise, spec.seed, on_epoch)
        folder.save_unit(fold, fitted, data.labels[data.valid_rows(fold)])


def complete_one_by_one(data: Prepared, runs: Path, spec: RunSpec, console: Console, title: str) -> bool:
    """Fit the missing folds of one run in this process, one after the other, each with all cores.

    Returns whether there was anything to do.
    """
    missing = RunFolder(runs, spec).missing(data.fold_count)
    if not missing:
        return False
    with console.bar(title, len(missing), "fits") as bar:
        for fold in missing:
            fit_unit(data, runs, spec, fold, bar)
    return True


def complete_side_by_side(
    data: Prepared, runs: Path, specs: Sequence[RunSpec], workers: int, console: Console, title: str
) -> bool:
    """Fit the missing folds of several runs in `workers` processes, one core each; 0: as many as there are cores.

    Returns whether there was anything to do.
    """
    missing = [(spec, fold) for spec in specs for fold in RunFolder(runs, spec).missing(data.fold_count)]
    if not missing:
        return False
    workers = min(workers or joblib.cpu_count(), len(missing))
    with console.bar(title, len(missing), "fits") as bar:
        jobs = (delayed(_fit_in_worker)(data.folder, runs, spec, fold) for spec, fold in missing)
        for name in Parallel(n_jobs=workers, return_as="generator_unordered")(jobs):
            bar.advance(1, name)
    return True


def _fit_in_worker(data_folder: Path, runs: Path, spec: RunSpec, fold: int) -> str:
    """`fit_unit` on the memory-mapped arrays of `data_folder`; returns what was fitted."""
    logging.getLogger("digits").setLevel(logging.INFO)
    # one thread per fit: more only wait for each other, and sums come out the same for any number of workers and cores
    with threadpool_limits(1):
        fit_unit(load_prepared(data_folder), runs, spec, fold)
    return f"{spec.name}, fold {fold + 1}"
