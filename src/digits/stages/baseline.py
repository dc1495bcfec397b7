"""Fit the scikit-learn baselines over the folds and rank them."""

import pandas as pd

from digits.files import write_atomic
from digits.fitting import complete_side_by_side
from digits.job import Job, Outcome
from digits.runs import RunFolder
from digits.studies import baseline_runs


def run(job: Job) -> Outcome:
    """Make one run per model of params.yaml's `baseline`, and reports/baseline.csv."""
    data = job.data
    specs = baseline_runs(job.params, data)
    worked = complete_side_by_side(data, job.paths.runs, specs, job.params.baseline.workers, job.console, "baseline")
    rows = [{"name": spec.name} | RunFolder(job.paths.runs, spec).finish(data) for spec in specs]
    board = pd.DataFrame(rows).sort_values("cv_accuracy", ascending=False, kind="stable")
    write_atomic(job.paths.reports / "baseline.csv", board.to_csv(index=False, lineterminator="\n"))
    job.console.table(
        ["model", "CV accuracy (95 %)", "spread", "log loss", "fit"],
        [
            [
                str(row.name),
                f"{row.cv_accuracy:.4f} ({row.cv_low:.4f} to {row.cv_high:.4f})",
                f"{row.cv_sd:.4f}",
                f"{row.log_loss:.4f}",
                f"{row.fit_seconds:.0f} s",
            ]
            for row in board.itertuples(index=False)
        ],
    )
    best = board.iloc[0]
    return Outcome(
        f"{len(specs)} models, best {best['name']}: CV accuracy {best['cv_accuracy']:.4f}; reports/baseline.csv",
        worked,
        ("make submit   blends the baselines in",),
    )
