"""The best few against the default: on all folds and several seeds, in pairs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from time import sleep

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.common.processes import ProcessDiedError
from digits.evaluation.metrics import Gain, gain_of_fits
from digits.tuning.search import Overrides, Result, driver, requeue_killed
from digits.tuning.storage import give_up_stale

DEFAULT = "default"
_PAUSE = 1.0  # seconds between two looks at what others are doing
_TAKEN = (TrialState.RUNNING, TrialState.COMPLETE)


@dataclass(frozen=True, order=True)
class Unit:
    """One fit at full length."""

    seed: int
    fold: int
    candidate: str


# (overrides, seed, fold) -> result of tuning.trial; raises ProcessDiedError, or ValueError for what is no model
Fit = Callable[[Overrides, int, int], Result]


def next_units(
    found: Mapping[Unit, float], candidates: Sequence[str], seeds: Sequence[int], folds: Sequence[int]
) -> list[Unit]:
    """What is still to be fitted: everybody on all folds from the first seed, then the default and the best of them.

    Nothing more where the best of them is not ahead of the default by then. found: accuracies. candidates: the default
    first.
    """
    everybody = [Unit(seeds[0], fold, candidate) for fold in folds for candidate in candidates]
    if missing := [unit for unit in everybody if unit not in found]:
        return missing
    pair = [candidates[0], leader(found, candidates)]
    default, best = (mean(found[Unit(seeds[0], fold, candidate)] for fold in folds) for candidate in pair)
    if best <= default:
        return []
    rest = [Unit(seed, fold, candidate) for seed in seeds[1:] for fold in folds for candidate in pair]
    return [unit for unit in rest if unit not in found]


def leader(found: Mapping[Unit, float], candidates: Sequence[str]) -> str:
    """The candidate, other than the default, with the best mean over the folds from the first seed, which all share."""
    first = min(unit.seed for unit in found)
    common = {unit: value for unit, value in found.items() if unit.seed == first}
    return max(candidates[1:], key=lambda candidate: mean_accuracy(common, candidate))


def mean_accuracy(found: Mapping[Unit, float], candidate: str) -> float:
    """Over all its fits; 0 where there is none."""
    values = [value for unit, value in found.items() if unit.candidate == candidate]
    return mean(values) if values else 0.0


def gain(found: Mapping[Unit, float], candidate: str, searched: int) -> Gain | None:
    """Of a candidate over the default, in pairs of one seed and fold; None where there are fewer than three.

    searched: the fold that the search has judged on; it flatters what was found, and does not count. Nor does a pair
    whose default could not be fitted: that is no gain.
    """
    pairs = [
        (value, found[default])
        for unit, value in sorted(found.items())
        if unit.candidate == candidate
        and unit.fold != searched
        and found.get(default := Unit(unit.seed, unit.fold, DEFAULT))
    ]
    return gain_of_fits([new for new, _ in pairs], [old for _, old in pairs]) if len(pairs) >= 3 else None


def open_confirmation(storage: BaseStorage, name: str) -> optuna.Study:
    """The memory of the fits."""
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    requeue_killed(study)
    return study


def confirmed(study: optuna.Study) -> dict[Unit, float]:
    """Accuracies of the units that are done; 0 for those that could not be fitted."""
    ended = _of_units(study, TrialState.COMPLETE, TrialState.FAIL)
    done = [trial for trial in ended if trial.state == TrialState.COMPLETE or "cause" in trial.user_attrs]
    return {_unit(trial): float(trial.value or 0.0) for trial in done}


def confirm(
    study: optuna.Study,
    candidates: Mapping[str, Overrides],
    seeds: Sequence[int],
    folds: Sequence[int],
    fit: Fit,
    left: Callable[[], float],
    workers: int,
    tell: Callable[[Unit, float], None],
    expected: float = 0.0,
) -> None:
    """Fit units until none is missing or `left`, in seconds, is less than one takes; others may do the same elsewhere.

    candidates: overrides by name, the default first. tell: hears of each unit that is done. expected: seconds that one
    takes, until that is known.
    """

    def objective(trial: Trial) -> float:
        trial.set_user_attr("driver", driver())
        if "unit" not in trial.user_attrs:
            raise optuna.TrialPruned  # whoever shares the queue has emptied it
        unit = _unit(trial)
        if unit.candidate not in candidates:
            raise optuna.TrialPruned  # queued when less was known
        if any(_unit(other) == unit for other in _of_units(study, *_TAKEN) if other.number < trial.number):
            raise optuna.TrialPruned  # another machine has queued it as well
        try:
            result = fit(candidates[unit.candidate], unit.seed, unit.fold)
        except (ProcessDiedError, ValueError) as error:
            if left() <= 0:
                raise optuna.TrialPruned from error  # cut short; it is queued again when there is time
            trial.set_user_attr("cause", str(error))
            raise _NotFittedError from error
        trial.set_user_attr("seconds", result["seconds"])
        return float(result["accuracy"])

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state != TrialState.PRUNED:
            tell(_unit(trial), float(trial.value or 0.0))
        if not enough():
            study.stop()

    def enough() -> bool:
        found = [trial.user_attrs["seconds"] for trial in study.get_trials() if "seconds" in trial.user_attrs]
        return left() > (mean(found) if found else expected)

    while enough() and (missing := next_units(confirmed(study), [*candidates], seeds, folds)):
        taken = {_unit(trial) for trial in _of_units(study, TrialState.WAITING, TrialState.RUNNING)}
        for unit in missing:
            if unit not in taken:
                study.enqueue_trial({}, user_attrs={"unit": json.dumps([unit.seed, unit.fold, unit.candidate])})
        if waiting := len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,))):
            study.optimize(
                objective, n_trials=waiting, n_jobs=min(workers, waiting), catch=(_NotFittedError,), callbacks=[after]
            )
        else:
            give_up_stale(study)  # of a machine that is gone
            sleep(_PAUSE)


class _NotFittedError(Exception):
    """Ends a unit in Optuna's state of failure."""


def _of_units(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """Trials in these states that are for a unit; those of an empty queue are for none."""
    return [trial for trial in study.get_trials(deepcopy=False, states=states) if "unit" in trial.user_attrs]


def _unit(trial: Trial | FrozenTrial) -> Unit:
    seed, fold, candidate = json.loads(trial.user_attrs["unit"])
    return Unit(seed, fold, candidate)
