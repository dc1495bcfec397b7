"""Runs: one named, cross-validated fit each, in a folder that is done or to be continued.

A run's folder is named after its fingerprint, so a run that differs in anything that may change its numbers gets a
folder of its own. Inside, each fold's folder appears at once and complete: it is there, or the fit is still to do.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.common.files import atomic_folder, fingerprint, read_json, write_atomic, write_json
from digits.common.logs import log
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import save
from digits.training.crossval import FoldFit, assemble, rows_of
from digits.training.schedule import Fit

# a fold's probabilities, as its model predicts and without the tta of an image
PROBABILITIES, WITHOUT_TTA = "probabilities.npz", "probabilities_without_tta.npz"


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


@dataclass(frozen=True)
class Result:
    """A run's probabilities, float32.

    rows: (n,), the labelled images of the folds that are asked for, in order. oof: (n, classes). holdout: (folds, h,
    classes), of each of their models. test: (models, m, classes), of every fit: those of all folds that are done, and
    those on all labelled images.
    """

    rows: NDArray[np.int64]
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

    def whole(self, fit: Fit) -> Path:
        """Folder of a fit on all labelled images."""
        return self.path / f"whole-{fit.seed}-{fit.epochs}"

    def wholes(self) -> list[Fit]:
        """The fits on all labelled images that are done, in order of their seeds."""
        numbers = (map(int, folder.name.split("-")[1:]) for folder in self.path.glob("whole-*"))
        return sorted((Fit(None, epochs, seed) for seed, epochs in numbers), key=lambda fit: (fit.seed, fit.epochs))

    def has(self, fold: int) -> bool:
        """Whether the fit of a fold is done."""
        return self.unit(fold).is_dir()

    def missing(self, folds: int) -> list[int]:
        """Folds that are still to be fitted, of so many."""
        return [fold for fold in range(folds) if not self.has(fold)]

    def done(self, folds: int) -> list[int]:
        """Folds that are fitted, of so many."""
        return [fold for fold in range(folds) if self.has(fold)]

    def units(self, folds: int) -> list[Path]:
        """Folders of all fits that are done, of so many folds and of all labelled images."""
        return [*map(self.unit, self.done(folds)), *map(self.whole, self.wholes())]

    def open(self) -> None:
        """Make the folder and write down what the run is."""
        if not (self.path / "run.json").exists():
            write_json(self.path / "run.json", asdict(self.spec))

    def save_unit(self, unit: Path, fitted: FoldFit, valid_labels: NDArray[np.int64]) -> None:
        """Write one fit: probabilities, history, metrics and weights. unit: its folder, still to be made."""
        with atomic_folder(unit) as folder:
            save(self.spec.model, fitted.model, folder)
            size = sum(file.stat().st_size for file in folder.iterdir())
            np.savez(folder / PROBABILITIES, **asdict(fitted.predictions))
            if fitted.without_tta:
                np.savez(folder / WITHOUT_TTA, **asdict(fitted.without_tta))
            history = getattr(fitted.model, "history_", [])
            write_atomic(folder / "history.jsonl", "".join(json.dumps(epoch) + "\n" for epoch in history))
            metrics = {
                "fit_seconds": fitted.fit_seconds,
                "predict_seconds": fitted.predict_seconds,
                "size_mb": size / 1e6,
            }
            if len(valid_labels):
                metrics |= {
                    "accuracy": accuracy(fitted.predictions.valid, valid_labels).value,
                    "log_loss": log_loss(fitted.predictions.valid, valid_labels),
                }
            write_json(folder / "metrics.json", metrics)
        log.info("%s done: %s", unit.name, metrics)

    def unit_metrics(self, unit: Path) -> dict[str, float]:
        """fit_seconds, predict_seconds, size_mb of the model's files; of a fold also its accuracy and log_loss."""
        metrics: dict[str, float] = read_json(unit / "metrics.json")
        return metrics

    def unit_seconds(self, unit: Path) -> float:
        """How long its fit took, and predicting with it."""
        metrics = self.unit_metrics(unit)
        return metrics["fit_seconds"] + metrics["predict_seconds"]

    def has_tta(self) -> bool:
        """Whether its models look at several tta of an image, so that there are probabilities without them too."""
        return bool(self.spec.model.get("tta"))

    def result(self, data: Dataset, folds: Sequence[int], file: str = PROBABILITIES) -> Result:
        """Probabilities out of these folds. file: PROBABILITIES, as the models predict, or WITHOUT_TTA, without tta."""
        units = {}
        for fold in folds:
            with np.load(self.unit(fold) / file) as arrays:
                units[fold] = dict(arrays)
        tests = []
        for unit in self.units(data.fold_count):
            with np.load(unit / file) as arrays:
                tests.append(arrays["test"])
        return Result(
            rows=rows_of(data, folds),
            oof=assemble(data, {fold: unit["valid"] for fold, unit in units.items()}),
            holdout=np.stack([unit["holdout"] for unit in units.values()]),
            test=np.stack(tests),
        )

    def finish(self, data: Dataset) -> dict[str, Any]:
        """Write the metrics of the folds that are fitted, and return them.

        folds: how many there are. cv_accuracy with its 95 % interval cv_low to cv_high, cv_sd (standard deviation over
        the folds), log_loss, holdout_accuracy (of the mean of the folds' models; for reading, never for choosing),
        fit_seconds and predict_seconds (all folds together), size_mb (of one fold's model).
        """
        path, folds = self.path / "metrics.json", self.done(data.fold_count)
        known = read_json(path)
        if known is not None and known["folds"] == len(folds):
            return dict(known)
        result = self.result(data, folds)
        units = [self.unit_metrics(self.unit(fold)) for fold in folds]
        labels = np.asarray(data.labels)
        cv = accuracy(result.oof, labels[result.rows])
        metrics = {
            "folds": len(folds),
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
