"""A study in its database: opened, filled with its first trials, and repaired after a command was killed."""

from dataclasses import dataclass
from secrets import randbits
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from digits.models.search_space import Space
from digits.tuning.records import Overrides, started_trials, to_json
from digits.tuning.storage import requeue

_RANDOM_TRIALS = 10  # trials drawn at random before the sampler learns from them
_INITIAL_POINT = "the start"  # marks the trial in the queue; names of trials have no spaces, so none is like it


class FailedError(Exception):
    """Ends a trial in Optuna's state FAIL."""


@dataclass(frozen=True)
class SearchPlan:
    """What is searched and how.

    kind: of model. enqueue: overrides by name, run before any trial is drawn. initial_point: values of dimensions of
    the space, for the first trial that is drawn. rungs: epochs of the rungs, ascending. reduction_factor: one trial in
    this many is promoted to the next rung. n_trials: at most; None: any number.
    """

    kind: str
    space: Space
    enqueue: dict[str, Overrides]
    initial_point: dict[str, Any]
    rungs: tuple[int, ...]
    reduction_factor: int
    seed: int
    n_trials: int | None


def open_study(storage: BaseStorage, name: str, plan: SearchPlan, shared: bool) -> optuna.Study:
    """The study of that name, created if it does not exist. shared: whether several machines work on it."""
    # The pruner compares a trial with all others of the same rung. Hyperband's brackets would start half of the trials
    # on higher rungs, which costs more than it gains within an hour or two.
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=plan.reduction_factor)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
    )
    _enqueue_first(study, plan)
    requeue_killed(study)
    # with the same seed the sampler would repeat its own earlier draws, or those of another machine
    offset = randbits(32) if shared else 0
    study.sampler = _sampler((plan.seed + len(started_trials(study)) + offset) % 2**32)
    return study


def _enqueue_first(study: optuna.Study, plan: SearchPlan) -> None:
    """Enqueue those of the first trials that are missing: an earlier command may have been killed while it did so.

    Two machines may enqueue the same trial at the same time; `search` runs it once.
    """
    queued = {trial.user_attrs.get("queued") for trial in study.get_trials(deepcopy=False)}
    for name, overrides in plan.enqueue.items():
        if name not in queued:
            study.enqueue_trial({}, user_attrs={"queued": name, "name": name, "overrides": to_json(overrides)})
    if plan.initial_point and _INITIAL_POINT not in queued:
        study.enqueue_trial(plan.initial_point, user_attrs={"queued": _INITIAL_POINT})


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(  # conditional dimensions need `group`
        n_startup_trials=_RANDOM_TRIALS, multivariate=True, group=True, constant_liar=True, seed=seed
    )


def requeue_killed(study: optuna.Study) -> None:
    """Enqueue again, with their parameters, the trials that were running when their command was killed."""
    optuna.storages.fail_stale_trials(study)  # `optimize` does the same before each trial
    trials = study.get_trials(deepcopy=False)
    requeued = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    for trial in trials:
        if trial.state == TrialState.FAIL and "cause" not in trial.user_attrs and trial.number not in requeued:
            requeue(study, trial)
