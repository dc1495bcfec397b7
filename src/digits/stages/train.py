"""Fit the Keras network over the folds."""

from digits.fitting import complete_on_gpus, complete_one_by_one
from digits.job import Job, Outcome
from digits.runs import RunFolder
from digits.studies import study_of, train_run


def run(job: Job) -> Outcome:
    """Make the run of params.yaml's `train`, or of what a finished study found."""
    data = job.data
    spec = train_run(job.settled, data, study_of(job.params, data, job.paths.studies, "train"))
    folder = RunFolder(job.paths.runs, spec)
    if folder.missing(data.fold_count):
        job.console.say(job.engine.line(spec.model))
    if job.engine.gpus > 1:
        worked = complete_on_gpus(data, job.paths.runs, spec, job.engine.gpus, job.console, "train")
    else:
        worked = complete_one_by_one(data, job.paths.runs, spec, job.console, "train")
    metrics = folder.finish(data)
    cv = f"{metrics['cv_accuracy']:.4f} ({metrics['cv_low']:.4f} to {metrics['cv_high']:.4f})"
    return Outcome(
        f"{data.fold_count} fits of {spec.model['layers']}: CV accuracy {cv}, "
        f"spread over folds {metrics['cv_sd']:.4f}; {folder.path.relative_to(job.paths.root)}",
        worked,
    )
