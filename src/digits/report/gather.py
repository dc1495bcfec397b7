"""Reads the content of the page from runs/, reports/ and submissions/. It fits nothing."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.plots import Picture, read_pictures
from digits.common.sealed import intact, read_json
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.data.sample import with_hash
from digits.ensemble.blend import PICTURE, Blend, BlendPredictions, load_blend, load_predictions
from digits.evaluation.scoring import ACCURACY, METRICS, Metric, Score
from digits.kaggle.ledger import Ledger, Line
from digits.replication.table import COLUMNS
from digits.report.outlook import expected_error
from digits.training.candidates import namer
from digits.training.elsewhere import origin, spec_of, where
from digits.training.runs import RunFolder, RunSpec
from digits.training.tuned import studies_of

COMPARISON = "compare.html"  # in reports/
TRIAL = ("trial", "epochs", "accuracy", "log_loss", "seconds")  # columns of numbers
_MEASURED = ("published", "measured", "sd", "difference", "minutes")  # of recipes
_LOG, _LOG_WIDTH = 20, 200  # lines; characters
_LOG_TAIL = 20_000  # bytes that are read of a log


@dataclass(frozen=True)
class Run:
    """A cross-validated run with at least one fold.

    folder: its name below runs/. metrics: see `Units.metrics`. histories: one per fold, with a record per epoch; () if
    the model keeps none. rows: (n,), images of its folds. oof: (n, classes). refits: number. minutes: mean per fold.
    title: see `_titled`; no two runs of a page share it. log: the last lines of its log. made: where, for people;
    "" here.
    """

    spec: RunSpec
    folder: str
    metrics: dict[str, Any]
    histories: tuple[list[dict[str, float]], ...]
    rows: NDArray[np.int64]
    oof: NDArray[np.float32]
    refits: int
    minutes: float
    title: str = ""
    log: tuple[str, ...] = ()
    made: str = ""

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return self.title or self.spec.name

    @property
    def is_network(self) -> bool:
        """Whether it is a Keras network, not a scikit-learn model."""
        return bool(self.spec.model["kind"] == "cnn")


@dataclass(frozen=True)
class Search:
    """A finished `make tune`: the model, the parameters that replace its defaults, pictures by name, trials.csv."""

    model: str
    best: dict[str, Any]
    pictures: dict[str, Picture]
    trials: pd.DataFrame | None


@dataclass(frozen=True)
class Content:
    """Everything that the page shows; what does not exist is None or empty.

    runs: best first, see `_ranked`. blend: the one with most fits that is made of these runs. predictions:
    its probabilities. recipes: reports/recipes.csv. uncertain: the blend's PNG. budget: the largest budget that was
    spent on networks so far, in minutes. gain: what `more_minutes` are expected to add to the accuracy. compared:
    whether there is a page of `make compare`.
    """

    params: Params
    data: Dataset | None
    runs: tuple[Run, ...]
    blend: Blend | None
    predictions: BlendPredictions | None
    submissions: tuple[Line, ...]
    search: Search | None
    recipes: pd.DataFrame | None
    recipe_pictures: dict[str, Picture]
    uncertain: Path | None
    budget: float
    gain: float | None
    compared: bool

    @property
    def more_minutes(self) -> float:
        """A budget for networks that is worth its time, in minutes: much more than was spent so far."""
        return max(30.0, 4 * self.budget)

    @property
    def metric(self) -> Metric:
        """The competition's."""
        return METRICS[self.params.competition.metric]

    def score(self, run: Run) -> Score:
        """A run's score out of fold, if there are data."""
        labels = np.asarray(self.data.labels if self.data else ())
        return self.metric.of_run(run.metrics, run.oof, labels[run.rows])


def gather(params: Params, data: Dataset | None, paths: Paths) -> Content:
    """The content for the params' competition and the runs on these arrays; data: None if none are prepared."""
    metric = METRICS[params.competition.metric]
    runs = _titled(_runs(data, paths.runs, metric), params, data, paths) if data else ()
    blend = _largest_blend(paths.runs, {run.folder for run in runs}, metric)
    uncertain = paths.runs / blend.name / PICTURE if blend else None
    pictures = read_pictures(paths.reports / "recipes", data.hash) if data else {}
    content = Content(
        params=params,
        data=data,
        runs=runs,
        blend=blend,
        predictions=load_predictions(paths.runs, blend) if blend else None,
        submissions=tuple(_submissions(params, data, paths)),
        search=_search(params, data, paths) if data else None,
        recipes=_table(paths.reports / "recipes.csv", COLUMNS, _MEASURED) if pictures else None,
        recipe_pictures=pictures,
        uncertain=uncertain if uncertain and uncertain.exists() else None,
        budget=max([0.0, *(used["minutes"] for used in map(read_json, paths.runs.glob("*/budget.json")) if used)]),
        gain=None,
        compared=(paths.reports / COMPARISON).exists(),
    )
    if data is None or not content.budget or metric is not ACCURACY:
        return content
    now, later = (expected_error(params, data, paths, each) for each in (content.budget, content.more_minutes))
    return content if now is None or later is None else replace(content, gain=now - later)


def _table(path: Path, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame | None:
    """A table that another command has written; None if a spreadsheet has changed its format (it is written again)."""
    with suppress(FileNotFoundError, ValueError):
        return pd.read_csv(path, usecols=[*columns], dtype=dict.fromkeys(numbers, float))
    return None


def near_best(runs: Sequence[Run], labels: NDArray[np.int64], metric: Metric) -> set[str]:
    """Folders of the runs that are within one standard error of the first one, on the images that both predict."""
    near = set()
    for run in runs:
        shared, own, best = np.intersect1d(run.rows, runs[0].rows, return_indices=True)
        if not len(shared):
            continue
        gain, error = metric.gain(runs[0].oof[best], run.oof[own], labels[shared])
        if gain <= error:
            near.add(run.folder)
    return near


def _runs(data: Dataset, folder: Path, metric: Metric) -> tuple[Run, ...]:
    runs = (read_run(data, path.parent) for path in sorted(folder.glob("*/run.json")))
    return tuple(_ranked([run for run in runs if run], np.asarray(data.labels), metric))


def _titled(runs: Sequence[Run], params: Params, data: Dataset, paths: Paths) -> tuple[Run, ...]:
    """The runs with titles as `small · 3 folds · 0.9956`: the name of network or model, and the score.

    Where two are alike, the beginning of the folder's fingerprint follows.
    """
    labels, metric = np.asarray(data.labels), METRICS[params.competition.metric]
    name = namer(params, data, paths.studies)

    def title(run: Run) -> str:
        folds, score = run.metrics["folds"], metric.of_run(run.metrics, run.oof, labels[run.rows])
        return f"{name(run.spec)} · {folds} fold{'s' * (folds > 1)} · {score.value:.4f}"

    titles = [title(run) for run in runs]
    return tuple(
        replace(run, title=own if titles.count(own) == 1 else f"{own} · {run.folder.rpartition('-')[2][:4]}")
        for run, own in zip(runs, titles, strict=True)
    )


def read_run(data: Dataset, folder: Path) -> Run | None:
    """The run in `folder`; None if it is on other data, has no finished fold, was renamed or is of another version."""
    if not (spec := spec_of(folder)) or not (learned := with_hash(data, spec.data, spec.seed)):
        return None
    run = RunFolder(folder.parent, spec)
    run.check("is left out")
    units = run.units(data.fold_count)
    if not units.folds:
        return None
    result = units.result(learned, units.folds)
    metrics = units.metrics(learned)
    histories = (run.fold(fold) / "history.jsonl" for fold in units.folds)
    return Run(
        spec=spec,
        folder=folder.name,
        metrics=metrics,
        histories=tuple(filter(None, map(_lines, histories))),
        rows=result.rows,
        oof=result.oof,
        refits=len(units.refits),
        minutes=(metrics["fit_seconds"] + metrics["predict_seconds"]) / 60 / len(units.folds),
        log=_last_lines(folder / "log.txt"),
        made=where(made) if (made := origin(folder)) else "",
    )


def _ranked(runs: Sequence[Run], labels: NDArray[np.int64], metric: Metric = ACCURACY) -> list[Run]:
    """Best first by the metric on the images that all of them predict, because some folds are easier than others.

    Where there are none, or the scores are equal, most folds first, then by the score on all of their own images.
    """
    shared = reduce(np.intersect1d, (run.rows for run in runs)) if runs else ()

    def key(run: Run) -> tuple[float, ...]:
        compared = np.isin(run.rows, shared)
        truth = labels[run.rows]
        best = metric.value(run.oof[compared], truth[compared]) if compared.any() else 0.0
        return -metric.sign * best, -run.metrics["folds"], -metric.sign * metric.value(run.oof, truth)

    return sorted(runs, key=key)


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _last_lines(path: Path) -> tuple[str, ...]:
    """The last lines of a text file, at most _LOG, cut at _LOG_WIDTH characters; () if there is none."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL))
        lines = file.read().decode("utf-8", "replace").splitlines()
        return tuple(line[:_LOG_WIDTH] for line in lines[-_LOG:])
    return ()


def _largest_blend(folder: Path, runs: set[str], metric: Metric) -> Blend | None:
    """The metric's blend with most fits, then best CV score, whose members are all in `runs`: names of folders."""
    blends = []
    for path in sorted(folder.glob("blend-*/blend.json")):
        with suppress(TypeError):  # made by another version of this package
            blend = load_blend(folder, path.parent.name)
            if blend and blend.metric == metric.name and blend.units.keys() <= runs:
                blends.append(blend)

    def key(blend: Blend) -> tuple[int, float]:
        return sum(map(len, blend.units.values())), metric.sign * blend.cv.value

    return next((blend for blend in sorted(blends, key=key, reverse=True) if intact(folder / blend.name)), None)


def _submissions(params: Params, data: Dataset | None, paths: Paths) -> list[Line]:
    """The competition's submissions with an expected score: of practice data if `data` is that, else of real data."""
    try:
        lines = Ledger(paths.ledger).intents(params.competition.slug).values()
    except UserError:
        return []
    practice = data is not None and data.practice
    return [line for line in lines if line["expected"] and (line["provenance"] == "practice") == practice]


def _search(params: Params, data: Dataset, paths: Paths) -> Search | None:
    """The finished search for these params and data; that for the network comes first."""
    for study in studies_of(params, data, paths.studies):
        if study.fragment is not None:
            pictures = read_pictures(paths.reports / "tune", study.folder.name)
            trials = _table(paths.reports / "tune" / "trials.csv", ("name", "ended", *TRIAL), TRIAL)
            return Search(study.model, study.best, pictures, trials if pictures else None)
    return None
