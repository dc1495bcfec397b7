"""Fit Keras networks within the user's minutes."""

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from time import monotonic

import numpy as np

from digits.cli.context import Context, Outcome
from digits.common.sealed import read_json, write_json
from digits.data.dataset import Dataset
from digits.evaluation.scoring import ACCURACY, METRICS
from digits.training.budget import USED_UP, Part, Plan
from digits.training.device import forget_speeds
from digits.training.executor import execute
from digits.training.runs import RunFolder, of_other_versions
from digits.training.schedule import Fit, ScheduledFit, drift

_WITHIN = 1.96  # standard errors on either side of a 95 % interval


def run(context: Context) -> Outcome:
    """Fit or continue the runs of the plan, see training.budget. Raises KeyboardInterrupt if no fold is finished."""
    started = monotonic()
    plan, data, runs = context.plan, context.data, context.paths.runs
    folders = [RunFolder(runs, part.spec) for part in plan.parts]
    worked = not plan.used_up(runs)
    interrupted = worked and not _execute(context, plan, started)
    if not folders[0].units(data.fold_count).folds:
        raise KeyboardInterrupt("no fold is finished yet")  # later stages have nothing to work with
    if worked and not interrupted:
        for path in (folder.path / USED_UP for folder in folders):
            known = (read_json(path) or {"minutes": 0})["minutes"]
            write_json(path, {"minutes": max(plan.minutes, known)})
    lines = [_fitted(context, part, folder) for part, folder in zip(plan.parts, folders, strict=True)]
    return Outcome("; ".join(filter(None, lines)), worked, interrupted=interrupted)


def _execute(context: Context, plan: Plan, started: float) -> bool:
    """Fit each part's network until its time is up; returns False if the user interrupted it.

    started: begin of the budget, by `monotonic`; it includes planning, because that measures a new machine.
    """
    runs = context.paths.runs
    ends, deadline = plan.ends(runs)
    known = {path for part in plan.parts for path in part.units(runs).paths}
    if former := of_other_versions(runs, [*(part.spec for part in plan.parts), *plan.alternatives]):
        context.console.warn(former)
    schedules = _schedules(plan, runs, ends, monotonic() - started)
    context.check_room(sum(map(len, schedules)))
    context.console.say(_plan_lines(context, plan, schedules))
    executor = context.executor(plan.device.workers)
    for part, end in zip(plan.parts, ends, strict=True):
        gone = monotonic() - started
        if execute(
            context.data, part, plan.sizes, runs, end - gone, deadline - gone, executor, context.console
        ).interrupted:
            return False
    # fits on practice images take seconds, most of them to start
    # nor are workers of different speeds compared with their mean
    compared = not context.data.practice and len({*plan.device.slower}) < 2
    if compared and (factor := drift(plan.slowdowns(runs, known))) != 1:
        forget_speeds(runs / "machines")
        context.console.warn(
            f"these fits took {factor:.2g} times as long as planned; the next command that fits networks will measure "
            "this machine again"
        )
    return True


def _schedules(plan: Plan, runs: Path, ends: Sequence[float], gone: float) -> list[list[ScheduledFit]]:
    """The fits of each part. ends: seconds after the begin at which each ends; gone: those that are over."""
    schedules, at = [], gone
    for part, end in zip(plan.parts, ends, strict=True):
        schedules.append(plan.schedule(part, runs, end - at))
        at = max(at, end)
    return schedules


def _plan_lines(context: Context, plan: Plan, schedules: Sequence[Sequence[ScheduledFit]]) -> str:
    """The plan: the score that it promises, then a line per network with its fits and their minutes."""
    lines = []
    for part, schedule in zip(plan.parts, schedules, strict=True):
        minutes = max((each.end for each in schedule), default=0.0) / 60
        lines.append(f"  {part.name}: {_fits([each.fit for each in schedule], plan)}; about {minutes:.1f} minutes")
    parallel = _count(plan.device.parallel_fits, "fit")
    first = (
        f"plan: {_count(plan.minutes, 'minute')} on {plan.device.where}, {parallel} in parallel; "
        f"{_expected(context, plan)}"
    )
    return "\n".join([first + _left_out(context), *_sampled(context, plan), *lines])


def _expected(context: Context, plan: Plan) -> str:
    """The score that the plan's submission will have, as far as can be told before training."""
    metric = METRICS[context.params.competition.metric]
    if plan.error is None or metric is not ACCURACY:  # only accuracies are known beforehand
        return f"{metric.title} not known yet"
    within = _WITHIN * sqrt(plan.error * (1 - plan.error)) * _spread(context, plan, plan.data)
    enough = "; half of the minutes would do as well" if plan.generous else ""
    return f"expected score about {1 - plan.error:.4f}, to within {within:.4f}{enough}"


def _spread(context: Context, plan: Plan, data: Dataset) -> float:
    """Standard error of the score if these data judge it, as a multiple of the standard deviation of one image's."""
    folds = max(part.goal.folds for part in plan.parts)
    judged = len(data.holdout_rows) + sum(len(data.valid_rows(fold)) for fold in range(folds))
    return sqrt(1 / judged + 1 / (len(data.test_images) * context.params.competition.public_share))


def _sampled(context: Context, plan: Plan) -> list[str]:
    """What it means that the fits learn a share of the images; nothing where they learn all."""
    if not plan.sampled:
        return []
    share = f"{len(plan.data.train_rows(None)):,} of the {len(context.data.labels):,} labelled images"
    wider = _spread(context, plan, plan.data) / _spread(context, plan, context.data)
    return [
        f"  not even an epoch of all images has time: each fit learns from {share}, each refit from others, and as "
        f"small a share judges them; the interval of the score is {wider:.1f} times as wide as with all images, for "
        f"which there is time from about BUDGET={ceil(plan.least)} on"
    ]


def _left_out(context: Context) -> str:
    if not (names := context.params.too_large):
        return ""
    return f"; images of {context.data.size} are too small for {', '.join(names)}"


def _fits(fits: Sequence[Fit], plan: Plan) -> str:
    folds = [fit for fit in fits if fit.fold is not None]
    refits = [fit for fit in fits if fit.fold is None]
    parts = []
    if folds:
        parts.append(f"{_count(len(folds), 'fold')} of {folds[0].epochs} epochs")
    if refits:
        epochs = sorted({fit.epochs for fit in refits})
        shown = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
        images = "as many images" if plan.sampled else "all labelled images"
        parts.append(f"{_count(len(refits), 'refit')} of {shown} epochs on {images}")
    return ", then ".join(parts) or "nothing more"


def _fitted(context: Context, part: Part, folder: RunFolder) -> str:
    """The finished fits of a network in a line; empty where no fold is finished."""
    units, data = folder.units(context.data.fold_count), context.plan.data
    if not units.folds:
        return ""
    metrics = units.metrics(data)
    folds = f"{metrics['folds']} of {context.data.fold_count} folds"
    metric, result = METRICS[context.params.competition.metric], units.result(data, units.folds)
    cv = metric.of_run(metrics, result.oof, np.asarray(data.labels)[result.rows])
    return (
        f"{part.name}: {folds}, CV {metric.title} {cv}, "
        f"{_count(len(units.refits), 'refit')}; {folder.path.relative_to(context.paths.root)}"
    )


def _count(number: float, word: str) -> str:
    return f"{number:g} {word}" if number == 1 else f"{number:g} {word}s"
