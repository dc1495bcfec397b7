"""What there is to show: read from runs/, reports/ and submissions/, nothing is computed anew that takes long."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from digits.blends import Blend, Blended, load_blend, load_blended
from digits.config import Params, Paths
from digits.errors import UserError
from digits.files import read_json
from digits.ledger import Ledger, Line
from digits.metrics import paired_gain
from digits.prepared import Prepared
from digits.runs import RunFolder, RunSpec


@dataclass(frozen=True)
class Run:
    """A cross-validated run, with at least one fold.

    metrics: as digits.runs writes them. histories: of each fold, epoch by epoch; empty where there is none. oof: (n,
    classes), of its folds' images. wholes: fits on all labelled images. minutes: of all its fits, one after the other.
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
        return str(self.spec.model["layers"]) if self.spec.model["kind"] == "cnn" else self.spec.name


@dataclass(frozen=True)
class Search:
    """A finished or unfinished `make tune`: its best parameters as YAML, and its pictures."""

    model: str
    best: str
    pictures: dict[str, Path]


@dataclass(frozen=True)
class Content:
    """All that the page shows; what is not there is None or empty."""

    params: Params
    data: Prepared | None
    runs: tuple[Run, ...]
    blend: Blend | None
    blended: Blended | None
    blend_rows: NDArray[np.int64] | None
    submissions: tuple[Line, ...]
    search: Search | None
    study: pd.DataFrame | None
    study_pictures: dict[str, Path]
    study_titles: dict[str, str]
    uncertain: Path | None

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        competition = self.params.competition
        return [*(competition.class_names or map(str, range(competition.classes)))]


def gather(params: Params, data: Prepared | None, paths: Paths) -> Content:
    """What there is of the competition that the params name, made of these arrays. data: None where there are none."""
    runs = _runs(data, paths.runs) if data else ()
    blend = _newest_blend(paths.runs, [run.folder for run in runs])
    blended = load_blended(paths.runs, blend) if blend else None
    submissions = tuple(_submissions(params, paths))
    study = paths.reports / "study.csv"
    uncertain = paths.reports / "uncertain.png"
    return Content(
        params=params,
        data=data,
        runs=runs,
        blend=blend,
        blended=blended,
        blend_rows=_rows_of(blend, runs) if blend else None,
        submissions=submissions,
        search=_search(paths),
        study=pd.read_csv(study, keep_default_na=True) if study.exists() else None,
        study_pictures=_pictures(paths.reports / "study"),
        study_titles=read_json(paths.reports / "study" / "titles.json") or {},
        uncertain=uncertain if uncertain.exists() and blend else None,
    )


def near_best(runs: Sequence[Run], labels: NDArray[np.int64]) -> set[str]:
    """Folders of the runs that are at most one standard error behind the best, on the same images."""
    if not runs:
        return set()
    best = max(runs, key=lambda run: float(run.metrics["cv_accuracy"]))
    near = {best.folder}
    for run in runs:
        if np.array_equal(run.rows, best.rows):
            gain, error = paired_gain(best.oof, run.oof, labels[run.rows])
            if gain <= error:
                near.add(run.folder)
    return near


def _runs(data: Prepared, folder: Path) -> tuple[Run, ...]:
    found = []
    for path in sorted(folder.glob("*/run.json")):
        spec = RunSpec(**read_json(path))
        run = RunFolder(folder, spec)
        # a folder that someone has renamed is not read; one of other data is no run of this competition
        if spec.data != data.hash or run.path != path.parent or not run.done(data.fold_count):
            continue
        folds = run.done(data.fold_count)
        result = run.result(data, folds)
        units = [*map(run.unit, folds), *map(run.whole, run.wholes())]
        histories = (unit / "history.jsonl" for unit in map(run.unit, folds))
        found.append(
            Run(
                spec=spec,
                folder=path.parent.name,
                metrics=run.finish(data),
                histories=tuple(filter(None, map(_lines, histories))),
                rows=result.rows,
                oof=result.oof,
                wholes=len(run.wholes()),
                minutes=sum(map(run.unit_seconds, units)) / 60,
            )
        )
    return tuple(sorted(found, key=lambda run: -float(run.metrics["cv_accuracy"])))


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _newest_blend(folder: Path, runs: Sequence[str]) -> Blend | None:
    """The blend that was made last of runs that are here."""
    made = sorted(folder.glob("blend-*/blend.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    blends = (load_blend(folder, path.parent.name) for path in made)
    return next((blend for blend in blends if blend and set(blend.weights) <= set(runs)), None)


def _rows_of(blend: Blend, runs: Sequence[Run]) -> NDArray[np.int64]:
    """The images that the blend's out-of-fold predictions are about: those that all its members have."""
    rows = [run.rows for run in runs if run.folder in blend.weights]
    common = rows[0]
    for other in rows[1:]:
        common = np.intersect1d(common, other)
    return common


def _submissions(params: Params, paths: Paths) -> list[Line]:
    try:
        return [*Ledger(paths.ledger).intents(params.competition.slug).values()]
    except UserError:
        return []


def _search(paths: Paths) -> Search | None:
    studies = sorted(paths.studies.glob("*/best.yaml"), key=lambda path: path.stat().st_mtime)
    pictures = _pictures(paths.reports / "tune")
    if not studies:
        return Search("", "", pictures) if pictures else None
    best = yaml.safe_load(studies[-1].read_text(encoding="utf-8")) or {}
    text = yaml.safe_dump(best, sort_keys=False) if best else ""
    return Search(studies[-1].parent.name.rpartition("-")[0], text, pictures)


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.png"))}
