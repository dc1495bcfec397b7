"""Train on Kaggle's GPUs: send this package there, follow its session, and place its fits among the runs here."""

import json
import shutil
from itertools import count
from pathlib import Path

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.fingerprints import COMPUTATIONS
from digits.config import Params
from digits.kaggle.credentials import NEW_TOKEN
from digits.kaggle.messages import Output, Quota, Session
from digits.kaggle.sessions import LOG
from digits.kernel.placing import Placed, place
from digits.kernel.script import script
from digits.kernel.there import MACHINES, SESSION
from digits.training.elsewhere import made_elsewhere, origin, where

_START = 12.0  # minutes beside the budget: for reading, measuring the cards, and fits that take longer than expected
_NEEDS = "needs.txt"  # what Kaggle's image lacked; the sessions have internet since then
_SEEDS = 1000  # between the first seeds of two sessions; more than the refits of one
_LONGEST = 600.0  # minutes; Kaggle ends a session after twelve hours


def run(context: Context) -> Outcome:
    """Train on Kaggle for the minutes of the budget. Raises UserError if no fit has come back."""
    _check(context)
    minutes = context.params.train.budget
    context.sessions.end_abandoned(lambda kernel: _fetch(context, kernel))
    with context.sessions.alone():
        placed = [_place(context, folder) for folder in sorted(context.paths.sessions.glob("*/"))]
        if any(each.units for each in placed):
            return _outcome(context, placed)
        _check_quota(context, minutes + _START)
        context.console.say(f"Kaggle: {minutes:g} minutes on GPUs, in a private session; Ctrl-C ends it")
        known = (needs := context.paths.sessions / _NEEDS).exists()
        ended, output, folder = _session(context, minutes, internet=known)
        if (missing := _missing(folder)) and not known:
            context.console.say(f"Kaggle's image lacks {' '.join(missing)}: once more, with internet to install it")
            write_atomic(needs, "\n".join(missing))
            shutil.rmtree(folder)
            ended, output, folder = _session(context, minutes, internet=True)
        placed = [_place(context, folder)]
    if ended.state != "complete":
        _say_why(context, ended, output, placed[0])
    return _outcome(context, placed)


def _check(context: Context) -> None:
    """Raise UserError unless Kaggle can have the files, the account and the time."""
    minutes = context.params.train.budget
    if context.data.practice:
        raise UserError("Kaggle has no practice images; give the competition's files: make kaggle-gpu DATA=path")
    if not context.params.submit.upload:
        raise UserError(f"submit.upload is false in the params, as Kaggle has no competition {context.kaggle.slug}")
    if minutes > _LONGEST:
        raise UserError(f"BUDGET={minutes:g}: Kaggle's sessions have room for {_LONGEST:g} minutes; use a smaller one")
    if not context.kaggle.credentials:
        raise UserError(f"no Kaggle credentials; {NEW_TOKEN}, then type the same command")


def _check_quota(context: Context, minutes: float) -> None:
    """Print the account's hours; raise UserError if they are too few."""
    quota: Quota | None = context.kaggle.kernel("quota")
    if not quota:
        return
    renewed = f"; new ones come on {quota.renewed}" if quota.renewed else ""
    context.console.say(f"Kaggle: {quota.used:.1f} of {quota.allowed:.0f} GPU hours of this week are used{renewed}")
    left = quota.allowed - quota.used
    if left * 60 < minutes:
        raise UserError(
            f"{max(0.0, left):.1f} GPU hours are left at Kaggle, and this takes up to {minutes / 60:.1f}; use a "
            f"smaller BUDGET{renewed}"
        )


def _session(context: Context, minutes: float, internet: bool) -> tuple[Session, Output, Path]:
    """Have one session do the work; returns how it has ended, its output, and the folder with what it has left."""
    competition = context.params.competition
    task = {
        "competition": competition.slug,
        "files": competition.needed_files,
        "data": context.data.hash,
        "minutes": minutes,
        "libraries": sorted({*COMPUTATIONS["cnn"].libraries, *COMPUTATIONS["data"].libraries}),
        "internet": internet,
    }
    machines = {f"{MACHINES}/{path.name}": path for path in (context.paths.runs / MACHINES).glob("*.json")}
    text, longest = script(_params(context), task, machines), round(60 * (1.25 * minutes + _START))
    with context.sessions.pushed(text, gpu=True, internet=internet, seconds=longest) as kernel:
        ended = context.sessions.follow(kernel, minutes + 1)
        return ended, *_fetch(context, kernel.slug)


def _params(context: Context) -> Params:
    """The params there: a session after the first has other seeds, so that its fits are new ones."""
    tuned = context.tuned
    used = {run.seed for run in made_elsewhere(tuned, context.paths.runs, {context.data.hash})}
    seed = next(seed for seed in count(tuned.train.seed, _SEEDS) if seed not in used)
    return tuned.model_copy(update={"train": tuned.train.model_copy(update={"seed": seed})})


def _fetch(context: Context, kernel: str) -> tuple[Output, Path]:
    folder = context.paths.sessions / kernel
    return context.sessions.fetch(kernel, folder), folder


def _missing(folder: Path) -> list[str]:
    """What the session has missed on Kaggle's machine."""
    path = folder / SESSION
    return list(json.loads(path.read_bytes())["missing"]) if path.exists() else []


def _place(context: Context, folder: Path) -> Placed:
    placed = place(folder, context.data, context.paths.runs)
    for fault in placed.faults:
        context.console.warn(f"left out: {fault}")
    shutil.rmtree(folder)
    return placed


def _say_why(context: Context, ended: Session, output: Output, placed: Placed) -> None:
    """Tell why a session has failed; raise UserError if it has left nothing."""
    why = output.error or ended.failure or f"it says {ended.state} and no more"
    text = f"the session on Kaggle has failed: {why}; its log is {context.paths.sessions / LOG}"
    if not placed.units:
        raise UserError(text)
    context.console.warn(f"{text}. {len(placed.units)} fits were finished before")


def _outcome(context: Context, placed: list[Placed]) -> Outcome:
    units = [unit for each in placed for unit in each.units]
    if not units:
        raise UserError(f"the session on Kaggle has left no fit that is new here; see {context.paths.sessions / LOG}")
    runs = sorted({unit.parent for unit in units})
    folds = sum(unit.name.startswith("fold") for unit in units)
    places = "; ".join(f"{run.relative_to(context.paths.root)}, {where(origin(run))}" for run in runs)
    return Outcome(
        f"{folds} folds, {len(units) - folds} refits; {places}",
        True,
        ("make submit   fits what its own minutes allow, blends it with these fits and sends the result",),
    )
