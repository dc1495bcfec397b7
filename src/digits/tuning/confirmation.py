"""The confirmation: fits on the search fold pick a finalist, which is compared with the default on the other folds."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import mean
from time import sleep
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.common.processes import ProcessDiedError
from digits.common.sealed import checksum
from digits.tuning.records import Overrides, Result
from digits.tuning.storage import begin, surviving
from digits.tuning.study import FailedError, requeue_killed
from digits.tuning.verdict import SEARCH_FOLD, Accuracies, CandidateFit, gain, leader

_PAUSE = 1.0  # seconds between two checks of what other machines are doing

# fit(overrides, seed, fold) returns a result of tuning.trial. Raises ProcessDiedError, or ValueError if the overrides
# describe no model.
FitFull = Callable[[Overrides, int, int], Result]


def missing_fits(
    accuracies: Accuracies, candidates: Sequence[str], seeds: Sequence[int], folds: Sequence[int]
) -> list[CandidateFit]:
    """The fits that digits.tuning.verdict needs and that are still to be made.

    With the first seed, the default and the finalists are fitted on the search fold, which picks the leader. If it is a
    finalist, with each further seed, as long as it is ahead, the default and the leader are fitted on the other folds.
    candidates: names, the default first; if there is no other, nothing is fitted.
    """
    default, *finalists = candidates
    picking = [CandidateFit(seeds[0], SEARCH_FOLD, name) for name in candidates] if finalists else []
    if missing := [fit for fit in picking if fit not in accuracies]:
        return missing
    best = leader(accuracies, candidates)
    for seed in seeds[1:] if best != default else ():
        pairs = [CandidateFit(seed, fold, name) for fold in folds if fold != SEARCH_FOLD for name in (default, best)]
        if missing := [fit for fit in pairs if fit not in accuracies]:
            return missing
        if not (so_far := gain(accuracies, best, default, len(folds))) or so_far.mean <= 0:
            break
    return []


def spare_fits(
    known: Collection[CandidateFit], default: str, seeds: Sequence[int], folds: Sequence[int]
) -> list[CandidateFit]:
    """Fits of the default that every finalist is judged by, without the known ones: work for idle workers.

    A fit of a certain time sees more images if a core beside it is idle, so the last one of an odd number would have an
    advantage over the others.
    """
    later = [CandidateFit(seed, fold, default) for seed in seeds[1:] for fold in folds if fold != SEARCH_FOLD]
    return [fit for fit in later if fit not in known]


def open_confirmation(storage: BaseStorage, name: str) -> optuna.Study:
    """The study of that name, created if it does not exist. A trial of it is one fit."""
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    requeue_killed(study)
    return study


def confirmed_accuracies(study: optuna.Study) -> dict[CandidateFit, float]:
    """Accuracies of the fits that are done; 0 for those that failed."""
    trials = _trials(study, TrialState.COMPLETE, TrialState.FAIL)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE or "cause" in trial.user_attrs]
    return {_fit_of(trial): float(trial.value or 0.0) for trial in done}


def confirmed_epochs(study: optuna.Study, candidate: str) -> float:
    """Mean epochs of a candidate's fits."""
    done = [trial for trial in _trials(study, TrialState.COMPLETE) if _fit_of(trial).candidate == candidate]
    return float(mean(trial.user_attrs["epochs"] for trial in done))


def settled(accuracies: Accuracies, default: str, seeds: Sequence[int], folds: Sequence[int]) -> set[str]:
    """The candidates that were judged to the end, or that were no better than the default on the search fold."""
    fitted = {fit.candidate for fit in accuracies} - {default}
    return {name for name in fitted if not missing_fits(accuracies, [default, name], seeds, folds)}


def begun(accuracies: Accuracies) -> set[str]:
    """The candidates that were judged by some fits, the default among them."""
    return {fit.candidate for fit in accuracies if fit.fold != SEARCH_FOLD}


def in_judgement(accuracies: Accuracies, default: str, seeds: Sequence[int], folds: Sequence[int]) -> set[str]:
    """The candidates that were picked, or judged by some fits, and are not settled."""
    best = leader(accuracies, [default, *sorted({fit.candidate for fit in accuracies} - {default})])
    return {best, *begun(accuracies)} - {default} - settled(accuracies, default, seeds, folds)


def confirm(
    study: optuna.Study,
    candidates: Mapping[str, Overrides],
    seeds: Sequence[int],
    folds: Sequence[int],
    fit_full: FitFull,
    seconds_left: Callable[[], float],
    workers: int,
    callback: Callable[[CandidateFit, float], None],
    expected_seconds: float,
) -> None:
    """Fit until nothing is missing or `seconds_left` is less than a fit takes; other machines may share the work.

    Workers for whom no fit is missing make spare ones.
    candidates: overrides by name, the default first. workers: fits in parallel. callback: called with each fit that is
    done and its accuracy. expected_seconds: duration of a fit, until one was measured.
    """

    def after_fit(study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state != TrialState.PRUNED:
            callback(_fit_of(trial), float(trial.value or 0.0))
        if not time_left():
            study.stop()

    def time_left() -> bool:
        seconds = [
            trial.user_attrs["seconds"] for trial in study.get_trials(deepcopy=False) if "seconds" in trial.user_attrs
        ]
        return seconds_left() > (mean(seconds) if seconds else expected_seconds)

    def enqueue(fits: Sequence[CandidateFit]) -> int:
        """Enqueue them, and return how many fits wait."""
        for fit in fits:
            study.enqueue_trial({}, user_attrs={"fit": json.dumps([fit.seed, fit.fold, fit.candidate])})
        return len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    names = [*candidates]
    while time_left() and (missing := missing_fits(done := confirmed_accuracies(study), names, seeds, folds)):
        queued = {_fit_of(trial) for trial in _trials(study, TrialState.WAITING, TrialState.RUNNING)}
        if waiting := enqueue([fit for fit in missing if fit not in queued]):
            waiting = enqueue(spare_fits({*done, *missing, *queued}, names[0], seeds, folds)[: -waiting % workers])
            with surviving():
                study.optimize(
                    lambda trial: _objective(study, trial, candidates, fit_full, seconds_left),
                    n_trials=waiting,
                    n_jobs=min(workers, waiting),
                    catch=(FailedError, UpdateFinishedTrialError),
                    callbacks=[after_fit],
                )
        else:
            optuna.storages.fail_stale_trials(study)  # of a machine that has gone
            sleep(_PAUSE)


def _objective(
    study: optuna.Study,
    trial: Trial,
    candidates: Mapping[str, Overrides],
    fit_full: FitFull,
    seconds_left: Callable[[], float],
) -> float:
    begin(study, trial)
    if "fit" not in trial.user_attrs:
        raise optuna.TrialPruned  # another machine has emptied the queue
    fit = _fit_of(trial)
    if fit.candidate not in candidates:
        raise optuna.TrialPruned  # it is not a finalist any more
    others = _trials(study, TrialState.RUNNING, TrialState.COMPLETE)
    if any(_fit_of(other) == fit for other in others if other.number < trial.number):
        raise optuna.TrialPruned  # another machine has enqueued it as well
    try:
        result = fit_full(candidates[fit.candidate], fit.seed, fit.fold)
    except (ProcessDiedError, ValueError) as error:
        if seconds_left() <= 0:
            raise optuna.TrialPruned from error  # the time is over; it is enqueued again when there is more
        trial.set_user_attr("cause", str(error))
        raise FailedError from error
    accuracy = float(result["accuracy"])
    for name in ("seconds", "epochs"):
        trial.set_user_attr(name, result[name])
    trial.set_user_attr("checksum", fit_checksum(trial.user_attrs, accuracy))
    return accuracy


def fit_checksum(attributes: Mapping[str, Any], accuracy: float | None) -> str:
    """Of everything that a finished fit has written: a database does not notice when a disk changes its bytes."""
    return checksum([*map(attributes.get, ("fit", "seconds", "epochs")), accuracy])


def _trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """Trials in these states, without those that were drawn from an empty queue, and without damaged ones."""
    trials = [trial for trial in study.get_trials(deepcopy=False, states=states) if "fit" in trial.user_attrs]

    def is_whole(trial: FrozenTrial) -> bool:
        known = trial.user_attrs.get("checksum")
        return trial.state != TrialState.COMPLETE or known == fit_checksum(trial.user_attrs, trial.value)

    return [*filter(is_whole, trials)]


def _fit_of(trial: Trial | FrozenTrial) -> CandidateFit:
    seed, fold, candidate = json.loads(trial.user_attrs["fit"])
    return CandidateFit(seed, fold, candidate)
