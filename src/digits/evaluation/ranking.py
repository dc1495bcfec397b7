"""The ranking of finished runs by CV accuracy, as a data frame and as cells of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.evaluation.metrics import paired_gain

TITLES = ("model", "CV accuracy (95 %)", "sd", "log loss", "holdout", "fit", "predict", "size")
NOTE = "* within one standard error of the best; fit, predict: seconds of one core, all folds; size: one fold's model"


@dataclass(frozen=True)
class Entry:
    """A finished run; metrics: see `Units.metrics`; oof: its out-of-fold probabilities, (n, classes)."""

    name: str
    metrics: dict[str, float]
    oof: NDArray[np.float32]


def rank_runs(entries: Sequence[Entry], labels: NDArray[np.int64]) -> pd.DataFrame:
    """One row per run, best CV accuracy first: `name`, its metrics, and `near_best`.

    labels: (n,), of the rows that the entries predict. near_best: 1 where the best run's gain over this one is at most
    the standard error of that gain on the same images (see `paired_gain`), else 0. The holdout has no influence.
    """
    ranked = sorted(entries, key=lambda entry: (-entry.metrics["cv_accuracy"], entry.metrics["log_loss"]))
    rows = []
    for entry in ranked:
        gain, error = paired_gain(ranked[0].oof, entry.oof, labels)
        rows.append({"name": entry.name} | entry.metrics | {"near_best": int(gain <= error)})
    return pd.DataFrame(rows)


def cells(ranking: pd.DataFrame) -> list[list[str]]:
    """The rows as text, in the order of TITLES, rounded to their significant digits."""
    return [
        [
            f"{row.name}{' *' if row.near_best else ''}",
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
