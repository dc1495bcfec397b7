"""Fit Keras networks for train.budget minutes."""

from collections.abc import Sequence
from time import monotonic

from digits.cli.context import Context, Outcome
from digits.common.files import read_json, write_json
from digits.training.budget import Part, Plan
from digits.training.executor import spend
from digits.training.runs import RunFolder
from digits.training.schedule import Fit


def run(context: Context) -> Outcome:
    """Make or continue the runs that digits.training.budget plans for params.yaml's `train`."""
    started = monotonic()
    plan, data, runs = context.plan, context.data, context.paths.runs
    folders = [RunFolder(runs, part.spec) for part in plan.parts]
    records = [folder.path / "budget.json" for folder in folders]  # the largest budget that was used up
    worked = any((read_json(path) or {"minutes": 0})["minutes"] < plan.minutes for path in records)
    interrupted = worked and not _spend(context, plan, started)
    if not folders[0].done(data.fold_count):
        raise KeyboardInterrupt  # without a finished fold later stages have nothing to work with
    if worked and not interrupted:
        for path in records:
            write_json(path, {"minutes": plan.minutes})
    lines = [_fitted(context, part, folder) for part, folder in zip(plan.parts, folders, strict=True)]
    return Outcome("; ".join(filter(None, lines)), worked, interrupted=interrupted)


def _spend(context: Context, plan: Plan, started: float) -> bool:
    """Fit each part's network until its time is up; returns False where the user interrupted it.

    started: time in seconds of `monotonic` at which the budget began; measuring a new machine counts.
    """
    runs = context.paths.runs
    ends, latest = plan.ends(runs), plan.latest(runs)
    context.console.say(context.device.line(plan.parts[0].spec.model))
    context.console.say(_foreseen(context, plan, ends, monotonic() - started))
    for part, end in zip(plan.parts, ends, strict=True):
        gone = monotonic() - started
        if spend(
            context.data, part, plan.sizes, runs, end - gone, latest - gone, context.device.places, context.console
        ).interrupted:
            return False
    return True


def _foreseen(context: Context, plan: Plan, ends: Sequence[float], gone: float) -> str:
    """The plan, a line per network: its fits, their minutes, and the accuracy that a fit is expected to have."""
    lines, at = [], gone
    for part, end in zip(plan.parts, ends, strict=True):
        slots = plan.slots(part, context.paths.runs, end - at)
        minutes = max((slot.end for slot in slots), default=0.0) / 60
        expected = f"accuracy of one about {part.accuracy:.4f}" if part.accuracy else "accuracy not known yet"
        lines.append(
            f"  {part.name}, {part.spec.model['layers']}: {_fits([slot.fit for slot in slots])}; "
            f"about {minutes:.1f} minutes; {expected}"
        )
        at = max(at, end)
    return "\n".join(
        [f"plan: {plan.minutes:g} minutes, {_count(plan.workers, 'fit')} in parallel{_left_out(context)}", *lines]
    )


def _left_out(context: Context) -> str:
    """The networks that cannot take images of this size, as an end of the line; empty where all can."""
    if not (names := context.params.too_large):
        return ""
    height, width = context.data.image_shape
    return f"; images of {height}x{width} pixels are too small for {', '.join(names)}"


def _fits(fits: Sequence[Fit]) -> str:
    folds = [fit for fit in fits if fit.fold is not None]
    refits = [fit for fit in fits if fit.fold is None]
    parts = []
    if folds:
        parts.append(f"{_count(len(folds), 'fold')} ({folds[0].epochs} epochs)")
    if refits:
        epochs = sorted({fit.epochs for fit in refits})
        extent = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
        parts.append(f"{_count(len(refits), 'refit')} on all labelled images ({extent} epochs)")
    return ", then ".join(parts) or "nothing more"


def _fitted(context: Context, part: Part, folder: RunFolder) -> str:
    """The finished fits of a network and their accuracy, in a line; empty where it has no fold yet."""
    if not folder.done(context.data.fold_count):
        return ""
    metrics = folder.finish(context.data)
    folds = f"{metrics['folds']} of {context.data.fold_count} folds"
    cv = f"{metrics['cv_accuracy']:.4f} ({metrics['cv_low']:.4f} to {metrics['cv_high']:.4f})"
    return (
        f"{part.name}, {part.spec.model['layers']}: {folds}, CV accuracy {cv}, "
        f"{_count(len(folder.wholes()), 'refit')} on all labelled images; {folder.path.relative_to(context.paths.root)}"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
