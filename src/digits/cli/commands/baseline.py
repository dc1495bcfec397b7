"""Fit the scikit-learn baselines over the folds and rank them."""

import numpy as np

from digits.cli.context import Job, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.matching import choose
from digits.evaluation.ranking import NOTE, TITLES, Entry, cells, leaderboard, markdown
from digits.training.candidates import baseline_runs
from digits.training.fitting import complete_side_by_side
from digits.training.runs import RunFolder


def run(job: Job) -> Outcome:
    """Make one run per model of params.yaml's `baseline` that ONLY names, and rank all that are finished.

    Writes reports/baseline.csv and reports/baseline.md. Raises UserError at the end where a fit failed.
    """
    data = job.data
    specs = {spec.name: spec for spec in baseline_runs(job.params, data, job.paths.studies)}
    chosen = [specs[name] for name in choose(job.only, list(specs), "baseline")]
    work = complete_side_by_side(data, job.paths.runs, chosen, job.params.baseline.workers, job.console, "baseline")
    folders = [RunFolder(job.paths.runs, spec) for spec in specs.values()]
    finished = [folder for folder in folders if not folder.missing(data.fold_count)]
    labels = np.asarray(data.labels)[data.working_rows]
    entries = [
        Entry(folder.spec.name, folder.finish(data), folder.result(data, range(data.fold_count)).oof)
        for folder in finished
    ]
    board = leaderboard(entries, labels)
    if entries:
        write_atomic(job.paths.reports / "baseline.csv", board.to_csv(index=False, lineterminator="\n"))
        write_atomic(job.paths.reports / "baseline.md", markdown(board))
        job.console.table(list(TITLES), cells(board))
        job.console.say(NOTE)
    if work.failures:
        raise UserError(
            f"{len(work.failures)} of {work.fits} fits failed, the others are kept; the same command tries them again"
        )
    best = board.iloc[0]
    return Outcome(
        f"{len(entries)} models, best {best['name']}: CV accuracy {best['cv_accuracy']:.4f}; reports/baseline.csv, .md",
        work.fits > 0,
        ("make submit   blends the baselines in",),
    )
