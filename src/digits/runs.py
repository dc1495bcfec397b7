"""Runs: one named, cross-validated fit each, in a folder that is done or to be continued.

A run's folder is named after its fingerprint, so a run that differs in anything that may change its numbers gets a
folder of its own. Inside, each fold's folder appears at once and complete: it is there, or the fit is still to do.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.crossval import FoldFit, assemble
from digits.files import atomic_folder, fingerprint, read_json, write_atomic, write_json
from digits.logs import log
from digits.metrics import accuracy, log_loss
from digits.models import FAMILIES, save
from digits.prepared import Prepared
from digits.versions import code_version


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


def run_spec(name: str, model: dict[str, Any], normalise: str, seed: int, data: Prepared) -> RunSpec:
    """The run of a model with the code as it is now."""
    code = code_version("digits.crossval", FAMILIES[model["kind"]])
    return RunSpec(name, model, normalise, seed, data.hash, code)


@dataclass(frozen=True)
class Result:
    """A finished run's probabilities, float32 (rows, classes) each.

    oof: working rows, in order. holdout: holdout rows. test: test images, mean over the folds.
    """

    oof: NDArray[np.float32]
    holdout: NDArray[np.float32]
    test: NDArray[np.float32]


class RunFolder:
    """The folder of one run below `runs`."""

    def __init__(self, runs: Path, spec: RunSpec):
        self.spec = spec
        self.path = runs / spec.folder_name

    def unit(self, fold: int) -> Path:
        """Folder of one fold."""
        return self.path / f"fold-{fold}"

    def has(self, fold: int) -> bool:
        """Whether the fit of a fold is done."""
        return self.unit(fold).is_dir()

    def missing(self, folds: int) -> list[int]:
        """Folds that are still to be fitted."""
        return [fold for fold in range(folds) if not self.has(fold)]

    def open(self) -> None:
        """Make the folder and write down what the run is."""
        if not (self.path / "run.json").exists():
            write_json(self.path / "run.json", asdict(self.spec))

    def save_unit(self, fold: int, fitted: FoldFit, valid_labels: NDArray[np.int64]) -> None:
        """Write one fold's fit: probabilities, history, metrics and weights."""
        with atomic_folder(self.unit(fold)) as folder:
            save(self.spec.model, fitted.model, folder)
            size = sum(file.stat().st_size for file in folder.iterdir())
            np.savez(folder / "probabilities.npz", valid=fitted.valid, holdout=fitted.holdout, test=fitted.test)
            history = getattr(fitted.model, "history_", [])
            write_atomic(folder / "history.jsonl", "".join(json.dumps(epoch) + "\n" for epoch in history))
            metrics = {
                "accuracy": accuracy(fitted.valid, valid_labels).value,
                "log_loss": log_loss(fitted.valid, valid_labels),
                "fit_seconds": fitted.fit_seconds,
                "predict_seconds": fitted.predict_seconds,
                "size_mb": size / 1e6,
            }
            write_json(folder / "metrics.json", metrics)
        log.info("fold %d done: %s", fold, metrics)

    def unit_metrics(self, fold: int) -> dict[str, float]:
        """accuracy and log_loss on the validation part, fit_seconds, predict_seconds, size_mb of the model's files."""
        metrics: dict[str, float] = read_json(self.unit(fold) / "metrics.json")
        return metrics

    def unit_probabilities(self, fold: int) -> dict[str, NDArray[np.float32]]:
        """Probabilities of one fold's `valid` part, of the `holdout` and of the `test` images."""
        with np.load(self.unit(fold) / "probabilities.npz") as arrays:
            return dict(arrays)

    def result(self, data: Prepared) -> Result:
        """Probabilities of the finished run."""
        units = [self.unit_probabilities(fold) for fold in range(data.fold_count)]
        holdout, test = (
            np.stack([unit[part] for unit in units]).mean(axis=0, dtype=np.float64).astype(np.float32)
            for part in ("holdout", "test")
        )
        return Result(assemble(data, [unit["valid"] for unit in units]), holdout, test)

    def finish(self, data: Prepared) -> dict[str, Any]:
        """Write the run's probabilities and metrics once all folds are done; returns the metrics.

        cv_accuracy with its 95 % interval cv_low to cv_high, cv_sd (standard deviation over the folds), log_loss,
        holdout_accuracy (of the mean of the folds' models; for reading, never for choosing), fit_seconds and
        predict_seconds (all folds together), size_mb (of one fold's model).
        """
        path = self.path / "metrics.json"
        if (metrics := read_json(path)) is None:
            result = self.result(data)
            np.savez(self.path / "probabilities.npz", **asdict(result))
            units = [self.unit_metrics(fold) for fold in range(data.fold_count)]
            labels = np.asarray(data.labels)[data.working_rows]
            cv = accuracy(result.oof, labels)
            metrics = {
                "cv_accuracy": cv.value,
                "cv_low": cv.low,
                "cv_high": cv.high,
                "cv_sd": float(np.std([unit["accuracy"] for unit in units], ddof=1)),
                "log_loss": log_loss(result.oof, labels),
                "holdout_accuracy": accuracy(result.holdout, np.asarray(data.labels)[data.holdout_rows]).value,
                "fit_seconds": sum(unit["fit_seconds"] for unit in units),
                "predict_seconds": sum(unit["predict_seconds"] for unit in units),
                "size_mb": float(np.mean([unit["size_mb"] for unit in units])),
            }
            write_json(path, metrics)
        return dict(metrics)
