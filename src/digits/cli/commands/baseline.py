"""Fit the scikit-learn baselines over the folds and rank them."""

import joblib
import numpy as np

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.markdown import table
from digits.common.matching import select_names
from digits.evaluation.ranking import NOTE, Entry, cells, rank_runs, titles
from digits.evaluation.scoring import METRICS
from digits.training.candidates import baseline_runs
from digits.training.parallel import fit_in_parallel
from digits.training.runs import RunFolder, of_other_versions


def run(context: Context) -> Outcome:
    """Make one run per model under `baseline.models` in the params, or those of ONLY, and rank all finished ones.

    Writes reports/baseline.csv and reports/baseline.md. Raises UserError at the end if a fit failed.
    """
    data = context.data
    specs = {spec.name: spec for spec in baseline_runs(context.tuned, data)}
    chosen = [specs[name] for name in select_names(context.only, list(specs), "baseline")]
    if former := of_other_versions(context.paths.runs, chosen):
        context.console.warn(former)
    runs, folds = context.paths.runs, range(data.fold_count)
    context.check_room(sum(not RunFolder(runs, spec).has(fold) for spec in chosen for fold in folds))
    workers = context.params.baseline.workers
    executor = context.executor([None] * (workers or joblib.cpu_count()))
    work = fit_in_parallel(data, runs, chosen, executor, context.console, "baseline", workers)
    folders = [RunFolder(runs, spec) for spec in specs.values()]
    finished = [units for folder in folders if len((units := folder.units(data.fold_count)).folds) == data.fold_count]
    labels = np.asarray(data.labels)[data.working_rows]
    entries = [
        Entry(units.run.spec.name, units.metrics(data), units.result(data, units.folds).oof) for units in finished
    ]
    metric = METRICS[context.params.competition.metric]
    ranking = rank_runs(entries, labels, metric)
    if entries:
        rows, header = cells(ranking), titles(metric)
        write_atomic(context.paths.reports / "baseline.csv", ranking.to_csv(index=False, lineterminator="\n"))
        write_atomic(context.paths.reports / "baseline.md", f"{table(header, rows)}\n\n\\{NOTE}\n")
        context.console.table(header, rows)
        context.console.say(NOTE)
    if work.failures:
        raise UserError(
            f"{len(work.failures)} of {work.fits} fits failed; the others are kept, and the same command repeats the "
            "failed ones"
        )
    best = ranking.iloc[0]
    value = best.get("score", best["cv_accuracy"])
    return Outcome(
        f"{len(entries)} models, best {best['name']}: CV {metric.title} {value:.4f}; reports/baseline.csv, .md",
        work.fits > 0,
        ("make submit   adds the baselines to the blend",),
    )
