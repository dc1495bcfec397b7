"""Fits whatever is missing of some runs, side by side where that pays, and keeps every finished fit at once."""

import logging
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import joblib
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from digits.console import Bar, Console
from digits.crossval import fit_fold
from digits.errors import UserError
from digits.logs import log, log_to
from digits.models import family
from digits.prepared import Prepared, load_prepared
from digits.runs import RunFolder, RunSpec


@dataclass(frozen=True)
class Work:
    """What was tried: the number of fits, and a line for each that failed."""

    fits: int
    failures: tuple[str, ...] = ()


def fit_unit(data: Prepared, runs: Path, spec: RunSpec, fold: int, bar: Bar | None = None) -> None:
    """Fit one run on one fold and save it; `bar` advances epoch by epoch."""
    folder = RunFolder(runs, spec)
    folder.open()

    def on_epoch(epoch: int, epochs: int, record: dict[str, float]) -> None:
        log.info("fold %d, epoch %d of %d: %s", fold, epoch, epochs, record)
        if bar:
            best_known = next(name for name in ("valid_accuracy", "accuracy", "loss") if name in record)
            figure = f"{best_known.replace('_', ' ')} {record[best_known]:.4f}"
            bar.advance(1 / epochs, f"fold {fold + 1} of {data.fold_count}, {figure}")

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


def complete_on_gpus(data: Prepared, runs: Path, spec: RunSpec, gpus: int, console: Console, title: str) -> bool:
    """Fit the missing folds of one run side by side, each in a process of its own that sees one of the `gpus` alone.

    Returns whether there was anything to do. The first fit that fails ends the rest; every finished one is kept.
    """
    missing = RunFolder(runs, spec).missing(data.fold_count)
    if not missing:
        return False
    spawned = multiprocessing.get_context("spawn")  # a forked process would share the parent's TensorFlow
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    free = spawned.Queue()
    for gpu in range(gpus):
        free.put(named[gpu] if len(named) >= gpus else str(gpu))
    with (
        console.bar(title, len(missing), "fits") as bar,
        ProcessPoolExecutor(min(gpus, len(missing)), spawned, _take_gpu, (free,)) as pool,
    ):
        fits = [pool.submit(_fit_on_own_gpu, data.folder, runs, spec, fold) for fold in missing]
        try:
            for fit in as_completed(fits):
                bar.advance(1, fit.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return True


def _take_gpu(free: "multiprocessing.Queue[str]") -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()


def _fit_on_own_gpu(data_folder: Path, runs: Path, spec: RunSpec, fold: int) -> str:
    logging.getLogger("digits").setLevel(logging.INFO)
    fit_unit(load_prepared(data_folder), runs, spec, fold)
    return f"fold {fold + 1} on GPU {os.environ['CUDA_VISIBLE_DEVICES']}"


def complete_side_by_side(
    data: Prepared, runs: Path, specs: Sequence[RunSpec], workers: int, console: Console, title: str
) -> Work:
    """Fit the missing folds of several runs in `workers` processes, one core each; 0: as many as there are cores.

    A fit that fails is said at once, and the others go on. Raises UserError where a process is ended from outside.
    """
    # fold by fold, so that the time left is known when the first fold is done
    missing = [(spec, fold) for fold in range(data.fold_count) for spec in specs if not RunFolder(runs, spec).has(fold)]
    if not missing:
        return Work(0)
    workers = min(workers or joblib.cpu_count(), len(missing))
    failures = []
    with console.bar(title, len(missing), "fits") as bar:
        jobs = (delayed(_fit_in_worker)(data.folder, runs, spec, fold) for spec, fold in missing)
        try:
            for unit, failure in Parallel(n_jobs=workers, return_as="generator_unordered")(jobs):
                if failure:
                    failures.append(f"{unit} failed: {failure}")
                    console.warn(failures[-1])
                bar.advance(1, unit)
        except TerminatedWorkerError:
            raise UserError(
                "a fit's process was ended from outside, most often for want of memory; every finished fit is kept, "
                "the same command goes on; WORKERS=1 needs least memory"
            ) from None
    return Work(len(missing), tuple(failures))


def _fit_in_worker(data_folder: Path, runs: Path, spec: RunSpec, fold: int) -> tuple[str, str | None]:
    """`fit_unit` on the memory-mapped arrays of `data_folder`; returns what was fitted, and why not where it failed."""
    logging.getLogger("digits").setLevel(logging.INFO)
    family(spec.model["kind"])  # a library that is loaded later would not be held to one thread
    # one thread per fit: more only wait for each other, and sums come out the same for any number of workers and cores
    with threadpool_limits(1):
        try:
            fit_unit(load_prepared(data_folder), runs, spec, fold)
        except Exception as error:
            log_file = RunFolder(runs, spec).path / "log.txt"
            with log_to(log_file):
                log.exception("fold %d failed", fold)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return f"{spec.name}, fold {fold + 1}", f"{reason}; the whole of it in {log_file}"
    return f"{spec.name}, fold {fold + 1}", None
