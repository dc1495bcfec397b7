"""What there is to show: read from runs/, reports/ and submissions/, nothing is computed anew that takes long."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.files import read_json
from digits.common.plots import Picture, read_pictures
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.ensemble.blend import PICTURE, Blend, Blended, load_blend, load_blended
from digits.evaluation.metrics import paired_gain
from digits.kaggle.ledger import Ledger, Line
from digits.replication.table import COLUMNS
from digits.training.runs import RunFolder, RunSpec
from digits.training.tuned import study_of


@dataclass(frozen=True)
class Run:
    """A cross-validated run, with at least one fold.

    metrics: as training.runs writes them. histories: of each fold, epoch by epoch; empty where there is none. oof: (n,
    classes), of its folds' images. wholes: fits on all labelled images. minutes: of one fold's fit, on average.
    """

    spec: RunSpec
    folder: str
    metrics: dict[str, Any]
    histories: tuple[list[dict[str, float]], ...]
    rows: NDArray[np.int64]
    oof: NDArray[np.float32]
    wholes: int
    minutes: float

    @property
    def name(self) -> str:
        """Of the model, for people."""
        model = self.spec.model
        return f"{model['layers']}, {model['epochs']} epochs" if model["kind"] == "cnn" else self.spec.name


@dataclass(frozen=True)
class Search:
    """A finished `make tune`: the model, what to put over its section of params.yaml ({}: nothing), its pictures."""

    model: str
    best: dict[str, Any]
    pictures: dict[str, Picture]


@dataclass(frozen=True)
class Content:
    """All that the page shows; what is not there is None or empty."""

    params: Params
    data: Dataset | None
    runs: tuple[Run, ...]
    blend: Blend | None
    blended: Blended | None
    blend_rows: NDArray[np.int64] | None
    submissions: tuple[Line, ...]
    search: Search | None
    study: pd.DataFrame | None
    study_pictures: dict[str, Picture]
    uncertain: Path | None
    budget: float  # the most minutes that were spent on networks

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        competition = self.params.competition
        return [*(competition.class_names or map(str, range(competition.classes)))]


def gather(params: Params, data: Dataset | None, paths: Paths) -> Content:
    """What there is of the competition that the params name, made of these arrays. data: None where there are none."""
    runs = _runs(data, paths.runs) if data else ()
    blend = _newest_blend(paths.runs, [run.folder for run in runs])
    blended = load_blended(paths.runs, blend) if blend else None
    rows = _rows_of(blend, runs) if blend else None
    if blended is None or rows is None or len(rows) != len(blended.oof):
        blended = rows = None  # its members have been fitted further
    uncertain = paths.runs / blend.name / PICTURE if blend else None
    pictures = read_pictures(paths.reports / "study", data.hash) if data else {}
    submissions = tuple(_submissions(params, data, paths))
    study = paths.reports / "study.csv"
    return Content(
        params=params,
        data=data,
        runs=runs,
        blend=blend,
        blended=blended,
        blend_rows=rows,
        submissions=submissions,
        search=_search(params, data, paths) if data else None,
        study=pd.read_csv(study).reindex(columns=[*COLUMNS]) if pictures and study.exists() else None,
        study_pictures=pictures,
        uncertain=uncertain if uncertain and uncertain.exists() else None,
        budget=max([read_json(path)["minutes"] for path in paths.runs.glob("*/budget.json")], default=0.0),
    )


def near_best(runs: Sequence[Run], labels: NDArray[np.int64]) -> set[str]:
    """Folders of the runs that are at most one standard error behind the first, on the images that both predict."""
    near = set()
    for run in runs:
        shared, ours, firsts = np.intersect1d(run.rows, runs[0].rows, return_indices=True)
        if not len(shared):
            continue
        gain, error = paired_gain(runs[0].oof[firsts], run.oof[ours], labels[shared])
        if gain <= error:
            near.add(run.folder)
    return near


def _runs(data: Dataset, folder: Path) -> tuple[Run, ...]:
    found = []
    for path in sorted(folder.glob("*/run.json")):
        try:
            spec = RunSpec(**read_json(path))
        except TypeError:
            continue  # of another version of this package
        run = RunFolder(folder, spec)
        # a folder that someone has renamed is not read; one of other data is no run of this competition
        if spec.data != data.hash or run.path != path.parent or not run.done(data.fold_count):
            continue
        folds = run.done(data.fold_count)
        result = run.result(data, folds)
        histories = (unit / "history.jsonl" for unit in map(run.fold, folds))
        found.append(
            Run(
                spec=spec,
                folder=path.parent.name,
                metrics=run.finish(data),
                histories=tuple(filter(None, map(_lines, histories))),
                rows=result.rows,
                oof=result.oof,
                wholes=len(run.refits()),
                minutes=sum(map(run.unit_seconds, map(run.fold, folds))) / 60 / len(folds),
            )
        )
    # a run of one fold may have met an easy one: those of most folds come first
    return tuple(sorted(found, key=lambda run: (-run.metrics["folds"], -float(run.metrics["cv_accuracy"]))))


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _newest_blend(folder: Path, runs: Sequence[str]) -> Blend | None:
    """The blend that was made last of runs that are here."""
    made = sorted(folder.glob("blend-*/blend.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in made:
        with suppress(TypeError):  # of another version of this package
            blend = load_blend(folder, path.parent.name)
            if blend and set(blend.weights) <= set(runs):
                return blend
    return None


def _rows_of(blend: Blend, runs: Sequence[Run]) -> NDArray[np.int64]:
    """The images that the blend's out-of-fold predictions are about: those that all its members have."""
    rows = [run.rows for run in runs if run.folder in blend.weights]
    common = rows[0]
    for other in rows[1:]:
        common = np.intersect1d(common, other)
    return common


def _submissions(params: Params, data: Dataset | None, paths: Paths) -> list[Line]:
    """Those of the competition with an estimate; of practice data only where that is what is looked at."""
    try:
        lines = Ledger(paths.ledger).intents(params.competition.slug).values()
    except UserError:
        return []
    practice = data is not None and data.practice
    return [line for line in lines if line["expected"] and (line["provenance"] == "practice") == practice]


def _search(params: Params, data: Dataset, paths: Paths) -> Search | None:
    """The search that these params and data ask for, where it has come to its end."""
    models = ["train", *(name for name, spec in params.baseline.models.items() if spec.kind == "mlp")]
    for model in models:
        study = study_of(params, data, paths.studies, model)
        if study.fragment is not None:
            return Search(model, study.best, read_pictures(paths.reports / "tune", study.folder.name))
    return None
