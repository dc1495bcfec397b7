"""A study in its database: opened, filled with its first trials, and repaired after a command was killed."""

from dataclasses import dataclass
from secrets import randbits
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from digits.models.distributions import Space
from digits.models.points import Limits
from digits.tuning.pruner import RationingPruner
from digits.tuning.records import Overrides, started_trials, to_json
from digits.tuning.sampler import SearchSampler
from digits.tuning.storage import requeue

_SEARCH = "search"  # attribute of a study


class FailedError(Exception):
    """Ends a trial in Optuna's state FAIL."""


@dataclass(frozen=True)
class Known:
    """A model that is tried before any trial is drawn.

    overrides: what differs from the default. values: its point of the space; {} if it has none.
    """

    overrides: Overrides
    values: dict[str, Any]


@dataclass(frozen=True)
class SearchPlan:
    """What is searched and how.

    kind: of model. limits: of networks. known: models by name, the default first. rungs: seconds of the fits,
    ascending. n_trials: at most; None: any number.
    """

    kind: str
    space: Space
    limits: Limits
    known: dict[str, Known]
    rungs: tuple[float, ...]
    seed: int
    n_trials: int | None

    @property
    def step(self) -> float:
        """Seconds of a rung as a multiple of those of the one below; one trial in this many is promoted to it."""
        return self.rungs[1] / self.rungs[0] if len(self.rungs) > 1 else 2.0

    def values_of(self, name: str) -> dict[str, Any]:
        """The point of a known model; {} if it has none."""
        return self.known[name].values if name in self.known else {}


def open_study(storage: BaseStorage, name: str) -> optuna.Study:
    """The study of that name, created if it does not exist."""
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def of_other_versions(study: optuna.Study, search: str) -> str:
    """A line about a search in the same database that differs from a new one in its code alone; "" if there is none.

    search: as in training.tuned.Study; it is kept with the study.
    """
    known = optuna.get_all_study_summaries(study._storage, include_best_trial=False)
    others = [each.study_name for each in known if each.user_attrs.get(_SEARCH) == search]
    new = _SEARCH not in study.user_attrs
    study.set_user_attr(_SEARCH, search)
    if not new or not others:
        return ""
    return (
        f"{others[-1]} in the same database is this search by another version of digits or of its libraries; its "
        "trials are not comparable, so the search begins anew"
    )


def continue_study(study: optuna.Study, plan: SearchPlan, shared: bool) -> None:
    """Make a study ready for the next trials. shared: whether several machines work on it."""
    _enqueue_first(study, plan)
    requeue_killed(study)
    # with the same seed the sampler would repeat its own earlier draws, or those of another machine
    offset = randbits(32) if shared else 0
    # Hyperband's brackets would start half of the trials on higher rungs, which costs more than it gains within an hour
    # or two.
    study.pruner = RationingPruner(plan.step)
    study.sampler = SearchSampler((plan.seed + len(started_trials(study)) + offset) % 2**32)


def _enqueue_first(study: optuna.Study, plan: SearchPlan) -> None:
    """Enqueue those of the first trials that are missing: an earlier command may have been killed while it did so.

    Two machines may enqueue the same trial at the same time; `search` runs it once.
    """
    queued = {trial.user_attrs.get("queued") for trial in study.get_trials(deepcopy=False)}
    for name, model in plan.known.items():
        if name not in queued:
            attributes = {"queued": name, "name": name, "overrides": to_json(model.overrides)}
            study.enqueue_trial(model.values, user_attrs=attributes)


def requeue_killed(study: optuna.Study) -> None:
    """Enqueue again, with their parameters, the trials that were running when their command was killed."""
    optuna.storages.fail_stale_trials(study)  # `optimize` does the same before each trial
    trials = study.get_trials(deepcopy=False)
    requeued = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    for trial in trials:
        if trial.state == TrialState.FAIL and "cause" not in trial.user_attrs and trial.number not in requeued:
            requeue(study, trial)
