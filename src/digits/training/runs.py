"""Runs: the folder of one cross-validated fit, with a unit per fold and per refit.

The folder is named after the run's fingerprint, so a run that differs in anything that may change its numbers has a
folder of its own. A unit's folder appears complete or not at all: if it is missing, the fit is still to be done.
"""

import json
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.common.files import fingerprint, write_atomic
from digits.common.logs import log
from digits.common.sealed import intact, read_json, save_folder, write_json
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import save
from digits.training.crossval import FoldFit, assemble, rows_of
from digits.training.schedule import Fit

_PROBABILITIES = "probabilities.npz"  # of a unit
# names of units' folders
_FOLD, _REFIT = re.compile(r"fold-\d+"), re.compile(r"refit-(\d+)-(\d+)(?:-of-(\d+))?")


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's numbers.

    model: resolved parameters with `kind`. data: hash of the prepared arrays. code: version of the code that fits.
    """

    name: str
    model: dict[str, Any]
    normalise: str
    seed: int
    data: str
    code: str

    @property
    def folder_name(self) -> str:
        """Name and fingerprint."""
        decisive = {key: value for key, value in asdict(self).items() if key != "name"}
        return f"{self.name}-{fingerprint(decisive)}"


def run_spec(name: str, model: dict[str, Any], normalise: str, seed: int, data: Dataset) -> RunSpec:
    """The run of a model with the code as it is now."""
    return RunSpec(name, model, normalise, seed, data.hash, code_version(model["kind"]))


def of_other_versions(runs: Path, specs: Collection[RunSpec]) -> str:
    """A line about finished fits that differ from these in their code alone; "" if there are none, or fits of these."""

    def numbers(spec: dict[str, Any]) -> str:
        return fingerprint({key: value for key, value in spec.items() if key not in ("name", "code")})

    own, alike = {spec.folder_name for spec in specs}, {numbers(asdict(spec)) for spec in specs}
    fitted = {path.parent.parent for path in runs.glob("*/*/metrics.json")}
    found = [path for path in sorted(fitted) if numbers(read_json(path / "run.json") or {}) in alike]
    if not found or any(path.name in own for path in found):
        return ""
    return (
        f"runs/{found[-1].name} has the same fits by other versions of digits or of its libraries; their numbers may "
        "differ, so they are fitted again; make clean-runs removes the former ones"
    )


@dataclass(frozen=True)
class Result:
    """A run's probabilities, float32.

    rows: (n,), the labelled images of some folds, ascending. oof: (n, classes), out-of-fold. holdout: (folds, h,
    classes), by the model of each fold. test: (models, m, classes), by the models of all finished folds and refits.
    """

    rows: NDArray[np.int64]
    oof: NDArray[np.float32]
    holdout: NDArray[np.float32]
    test: NDArray[np.float32]


def unit_metrics(unit: Path) -> dict[str, float]:
    """fit_seconds, predict_seconds, size_mb of the model; a fold's accuracy and log_loss; a refit's planned_epochs."""
    return read_json(unit / "metrics.json") or {}


class RunFolder:
    """The folder of one run below `runs`."""

    def __init__(self, runs: Path, spec: RunSpec):
        self.spec = spec
        self.path = runs / spec.folder_name

    def fold(self, fold: int) -> Path:
        """Folder of the fit of one fold."""
        return self.path / f"fold-{fold}"

    def refit(self, fit: Fit) -> Path:
        """Folder of a refit: refit-<seed>-<epochs>, and -of-<planned epochs> if it was shortened."""
        return self.path / f"refit-{fit.seed}-{fit.epochs}{f'-of-{fit.planned}' if fit.planned else ''}"

    def check(self, consequence: str = "is made again") -> bool:
        """Set aside the units that are damaged, and return whether there were none; other methods look for names alone.

        A damaged run.json is written again. Other folders are named and passed over. consequence: for the message.
        """
        if self.path.is_dir() and read_json(self.path / "run.json") is None:
            self.open()
        sound = True
        for path in sorted(self.path.glob("[!.]*/")):
            if _FOLD.fullmatch(path.name) or _REFIT.fullmatch(path.name):
                sound &= intact(path, consequence)
            else:
                print(f"{path} is no fit of this version, and is passed over", file=sys.stderr)
        return sound

    def has(self, fold: int) -> bool:
        """Whether the fit of a fold is finished."""
        return self.fold(fold).is_dir()

    def units(self, folds: int) -> "Units":
        """The units that are finished now: of the first `folds` folds, and of refits."""
        names = filter(None, (_REFIT.fullmatch(folder.name) for folder in self.path.glob("refit-*")))
        numbers = ([int(number) for number in name.groups() if number] for name in names)
        refits = (Fit(None, epochs, seed, *planned) for seed, epochs, *planned in numbers)
        by_seed = sorted(refits, key=lambda fit: (fit.seed, fit.epochs))
        return Units(self, tuple(filter(self.has, range(folds))), tuple(by_seed))

    def open(self) -> None:
        """Make the folder and write run.json, the run's spec."""
        if not (self.path / "run.json").exists():
            write_json(self.path / "run.json", asdict(self.spec))

    def save_unit(self, unit: Path, fitted: FoldFit, valid_labels: NDArray[np.int64], **also: float) -> None:
        """Write a unit: probabilities, history, metrics and weights. unit: its new folder. also: more metrics."""
        metrics = {
            "fit_seconds": fitted.fit_seconds,
            "predict_seconds": fitted.predict_seconds,
            "processor_seconds": fitted.processor_seconds,
            **also,
        }
        if len(valid_labels):
            metrics |= {
                "accuracy": accuracy(fitted.predictions.valid, valid_labels).value,
                "log_loss": log_loss(fitted.predictions.valid, valid_labels),
            }

        def fill(folder: Path) -> None:
            save(self.spec.model, fitted.model, folder)
            metrics["size_mb"] = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
            np.savez(folder / _PROBABILITIES, **asdict(fitted.predictions))
            history = getattr(fitted.model, "history_", [])
            write_atomic(folder / "history.jsonl", "".join(json.dumps(epoch) + "\n" for epoch in history))
            write_json(folder / "metrics.json", metrics)

        save_folder(unit, fill)
        log.info("%s done: %s", unit.name, metrics)


@dataclass(frozen=True)
class Units:
    """The units of a run that were finished at one moment, without those that another command fits later.

    folds: ascending. refits: in order of their seeds.
    """

    run: RunFolder
    folds: tuple[int, ...]
    refits: tuple[Fit, ...]

    @property
    def paths(self) -> list[Path]:
        """Their folders, those of folds first."""
        return [*map(self.run.fold, self.folds), *map(self.run.refit, self.refits)]

    @property
    def seconds(self) -> float:
        """Seconds that their fits and predictions took, one after the other."""
        return sum(unit["fit_seconds"] + unit["predict_seconds"] for unit in map(unit_metrics, self.paths))

    def result(self, data: Dataset, folds: Sequence[int]) -> Result:
        """Probabilities by the models of these folds."""
        units = {}
        for unit in self.paths:
            with np.load(unit / _PROBABILITIES) as arrays:
                units[unit] = dict(arrays)
        of_folds = {fold: units[self.run.fold(fold)] for fold in folds}
        return Result(
            rows=rows_of(data, folds),
            oof=assemble(data, {fold: unit["valid"] for fold, unit in of_folds.items()}),
            holdout=np.stack([unit["holdout"] for unit in of_folds.values()]),
            test=np.stack([unit["test"] for unit in units.values()]),
        )

    def metrics(self, data: Dataset) -> dict[str, Any]:
        """Metrics of the folds, kept in the run's metrics.json.

        folds: number of them. cv_accuracy with its 95 % interval cv_low to cv_high, cv_sd (standard deviation over
        the folds), log_loss, holdout_accuracy (of the mean of the folds' models; for reading, never for choosing),
        fit_seconds and predict_seconds (sums over the folds), size_mb (of one fold's model, 10^6 bytes).
        """
        path = self.run.path / "metrics.json"
        known = read_json(path)
        if known is not None and known["folds"] == len(self.folds):  # the number of folds only grows
            return dict(known)
        result = self.result(data, self.folds)
        units = [unit_metrics(self.run.fold(fold)) for fold in self.folds]
        labels = np.asarray(data.labels)
        cv = accuracy(result.oof, labels[result.rows])
        metrics = {
            "folds": len(self.folds),
            "cv_accuracy": cv.value,
            "cv_low": cv.low,
            "cv_high": cv.high,
            "cv_sd": float(np.std([unit["accuracy"] for unit in units], ddof=1)) if len(units) > 1 else 0.0,
            "log_loss": log_loss(result.oof, labels[result.rows]),
            "holdout_accuracy": accuracy(result.holdout.mean(axis=0), labels[data.holdout_rows]).value,
            "fit_seconds": sum(unit["fit_seconds"] for unit in units),
            "predict_seconds": sum(unit["predict_seconds"] for unit in units),
            "size_mb": float(np.mean([unit["size_mb"] for unit in units])),
        }
        write_json(path, metrics)
        return metrics
