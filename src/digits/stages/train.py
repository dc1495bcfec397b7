"""Fit Keras networks for as many minutes as the user has."""

from time import monotonic

from digits.files import read_json, write_json
from digits.job import Job, Outcome
from digits.plan import Fit, Slot
from digits.planning import Planned
from digits.runs import RunFolder
from digits.spending import spend


def run(job: Job) -> Outcome:
    """Make or continue the run that params.yaml's `train` asks for, see digits.planning."""
    started = monotonic()
    plan, data, runs = job.plan, job.data, job.paths.runs
    folder = RunFolder(runs, plan.spec)
    spent_on = folder.path / "budget.json"  # the largest budget that has been used up
    worked = (read_json(spent_on) or {"minutes": 0})["minutes"] < plan.minutes
    interrupted = False
    if worked:
        planning = monotonic() - started  # measures the machine, where it is new
        left, latest = plan.left(runs) - planning, plan.latest(runs) - planning
        gpus = job.engine.visible_gpus() or [None] * plan.workers
        job.console.say(job.engine.line(plan.spec.model))
        job.console.say(_foreseen(plan, plan.slots(runs, left)))
        spent = spend(data, plan, runs, left, latest, gpus, job.console)
        interrupted = spent.interrupted
        if not interrupted:
            write_json(spent_on, {"minutes": plan.minutes})
    if not folder.done(data.fold_count):
        raise KeyboardInterrupt  # there is nothing yet to go on with
    metrics = folder.finish(data)
    cv = f"{metrics['cv_accuracy']:.4f} ({metrics['cv_low']:.4f} to {metrics['cv_high']:.4f})"
    return Outcome(
        f"{plan.name}, {plan.spec.model['layers']}: {metrics['folds']} of {data.fold_count} folds, CV accuracy {cv}; "
        f"{_count(folder.wholes(), 'fit')} on all labelled images; {folder.path.relative_to(job.paths.root)}",
        worked,
        interrupted=interrupted,
    )


def _foreseen(plan: Planned, slots: list[Slot]) -> str:
    """The plan in a line: what will be fitted, and for how long."""
    folds = [slot.fit for slot in slots if slot.fit.fold is not None]
    wholes = [slot.fit for slot in slots if slot.fit.fold is None]
    parts = []
    if folds:
        parts.append(f"{_count(folds, 'fold')} ({folds[0].epochs} epochs)")
    if wholes:
        epochs = sorted({fit.epochs for fit in wholes})
        shown = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
        parts.append(f"{_count(wholes, 'fit')} on all labelled images ({shown} epochs)")
    minutes = max((slot.end for slot in slots), default=0.0) / 60
    return (
        f"plan: {plan.name}, {plan.spec.model['layers']}: {', then '.join(parts) or 'nothing more'}; "
        f"{plan.workers} at a time, about {minutes:.1f} minutes of {plan.minutes:g}"
    )


def _count(fits: list[Fit], word: str) -> str:
    return f"{len(fits)} {word}" if len(fits) == 1 else f"{len(fits)} {word}s"
