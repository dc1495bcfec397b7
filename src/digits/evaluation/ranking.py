"""The ranking of finished runs by the competition's metric, as a data frame and as cells of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.evaluation.scoring import ACCURACY, Metric

TITLES = ("model", "CV accuracy (95 %)", "sd", "log loss", "holdout", "fit", "predict", "size")
NOTE = "* within one standard error of the best; fit, predict: seconds of one core, all folds; size: one fold's model"


@dataclass(frozen=True)
class Entry:
    """A finished run; metrics: see `Units.metrics`; oof: its out-of-fold probabilities, (n, classes)."""

    name: str
    metrics: dict[str, float]
    oof: NDArray[np.float32]


def rank_runs(entries: Sequence[Entry], labels: NDArray[np.int64], metric: Metric = ACCURACY) -> pd.DataFrame:
    """One row per run, best first: `name`, its metrics, and `near_best`.

    labels: (n,), of the rows that the entries predict. near_best: 1 where the best run's gain over this one is at most
    the standard error of that gain on the same images (see `Metric.gain`), else 0. The holdout has no influence. A
    metric other than the accuracy comes first among the metrics, as score, score_low and score_high.
    """
    scores = {entry.name: metric.value(entry.oof, labels) for entry in entries}
    ranked = sorted(entries, key=lambda entry: (-metric.sign * scores[entry.name], entry.metrics["log_loss"]))
    rows = []
    for entry in ranked:
        gain, error = metric.gain(ranked[0].oof, entry.oof, labels)
        own = {}
        if metric is not ACCURACY:
            score = metric.score(entry.oof, labels)
            own = {"score": score.value, "score_low": score.low, "score_high": score.high}
        rows.append({"name": entry.name} | own | entry.metrics | {"near_best": int(gain <= error)})
    return pd.DataFrame(rows)


def titles(metric: Metric) -> list[str]:
    """The titles of the cells: TITLES, with another metric than the accuracy after the model."""
    name, *others = TITLES
    return [name, *([] if metric is ACCURACY else [f"CV {metric.title} (95 %){metric.direction}"]), *others]


def cells(ranking: pd.DataFrame) -> list[list[str]]:
    """The rows as text, in the order of `titles`, rounded to their significant digits."""
    own = "score" in ranking
    return [
        [
            f"{row.name}{' *' if row.near_best else ''}",
            *([f"{row.score:.4f} ({row.score_low:.4f} to {row.score_high:.4f})"] if own else []),
            f"{row.cv_accuracy:.4f} ({row.cv_low:.4f} to {row.cv_high:.4f})",
            f"{row.cv_sd:.4f}",
            f"{row.log_loss:.4f}",
            f"{row.holdout_accuracy:.4f}",
            f"{row.fit_seconds:.1f}",
            f"{row.predict_seconds:.1f}",
            f"{row.size_mb:.1f} MB",
        ]
        for row in ranking.itertuples(index=False)
    ]
