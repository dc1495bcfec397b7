"""The search: trials run one after the other or in parallel, from rung to rung, while there is time."""

import json
from collections.abc import Callable

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.models.distributions import suggest
from digits.models.points import to_params
from digits.tuning.records import (
    STARTED,
    Overrides,
    Result,
    TrialRecord,
    objective_value,
    started_trials,
    to_json,
    trial_record,
    with_checksum,
)
from digits.tuning.storage import STOPPED, begin, surviving
from digits.tuning.study import FailedError, SearchPlan

MAX_FAILURES = 5  # in a row; after so many something other than the parameters is wrong
_MAX_REPEATS = 20  # in a row; after so many the space has nothing new to draw

# evaluate(overrides, report) fits a trial at one rung after the other; report(result) returns whether to continue with
# the next. Raises ProcessDiedError, or ValueError if the overrides describe no valid model.
Evaluate = Callable[[Overrides, Callable[[Result], bool]], None]


def search(
    study: optuna.Study,
    plan: SearchPlan,
    evaluate: Evaluate,
    seconds_left: Callable[[], float],
    workers: int,
    callback: Callable[[TrialRecord], None],
) -> None:
    """Run trials until `seconds_left` is less than a first fit takes, or there are plan.n_trials of them.

    It also ends when the space has nothing new to draw. The default has fits of all lengths, so that others can be
    compared with it. workers: trials in parallel. callback: called with the record of a trial after each of its fits,
    and after one that could not be fitted. A trial that fails is recorded with its cause, and the search continues. A
    trial that is stopped, or that runs out of time before its first result, is run again by the next command that has
    time. Raises UserError after MAX_FAILURES failures in a row.
    """
    failures: list[str] = []  # causes of the last trials, if all of them failed
    repeats: list[int] = []  # numbers of the last trials, if all of them are repeats

    def after_trial(study: optuna.Study, trial: FrozenTrial) -> None:
        record = trial_record(trial, plan.rungs)
        failures[:] = [*failures, record.cause] if record.failed and record.cause else []
        repeats[:] = [*repeats, record.number] if "repeats" in trial.user_attrs else []
        if not repeats and record.cause and (record.failed or not record.results):
            callback(record)
        if not time_left() or len(failures) >= MAX_FAILURES or len(repeats) >= _MAX_REPEATS:
            study.stop()

    def time_left() -> bool:
        return seconds_left() > plan.rungs[0]

    ended = False
    while not ended and time_left():
        missing = None if plan.n_trials is None else max(0, plan.n_trials - len(started_trials(study)))
        with surviving():
            study.optimize(
                lambda trial: _objective(study, trial, plan, evaluate, seconds_left, callback),
                n_trials=missing,
                n_jobs=workers,
                catch=(FailedError, UpdateFinishedTrialError),
                callbacks=[after_trial],
            )
            ended = True
    if len(failures) >= MAX_FAILURES:
        raise UserError(
            f"{MAX_FAILURES} trials in a row failed, the last one with: {failures[-1]}; all finished trials are kept, "
            "and the same command continues from there"
        )


def _objective(
    study: optuna.Study,
    trial: Trial,
    plan: SearchPlan,
    evaluate: Evaluate,
    seconds_left: Callable[[], float],
    callback: Callable[[TrialRecord], None],
) -> float:
    begin(study, trial)
    text = trial.user_attrs.get("overrides")
    if text is None or plan.values_of(trial.user_attrs.get("name", "")):
        suggested = to_params(plan.kind, suggest(trial, plan.space), plan.limits)
        text = text or to_json(suggested)
    trial.set_user_attr("overrides", text)
    if (earlier := _same_overrides(study, trial.number, text)) is not None:
        return _repeat(trial, earlier)
    results: list[Result] = []
    is_default = trial.user_attrs.get("name") == next(iter(plan.known), "")

    def report(result: Result) -> bool:
        results.append(result)
        trial.set_user_attr("results", with_checksum(trial.user_attrs, results))
        callback(trial_record(study._storage.get_trial(trial._trial_id), plan.rungs))
        trial.report(objective_value(result), len(results))
        if len(results) == len(plan.rungs) or (trial.should_prune() and not is_default):
            return False
        if seconds_left() < plan.rungs[len(results)]:
            trial.set_user_attr("cause", "no time left for a longer fit")
            return False
        return True

    try:
        evaluate(json.loads(text), report)
    except ProcessStoppedError as error:
        trial.set_user_attr(STOPPED, True)
        raise FailedError from error
    except ProcessDiedError as error:
        out_of_time = seconds_left() <= 0
        cause = ("cause", str(error)) if results or not out_of_time else (STOPPED, True)
        trial.set_user_attr(*cause)
        raise (optuna.TrialPruned if results and out_of_time else FailedError) from error
    except ValueError as error:
        trial.set_user_attr("cause", str(error))
        raise optuna.TrialPruned from error
    if len(results) < len(plan.rungs):
        raise optuna.TrialPruned
    return objective_value(results[-1])


def _same_overrides(study: optuna.Study, number: int, text: str) -> FrozenTrial | None:
    """The first trial before `number` that waits, is running or has ended, and has the same overrides."""
    for other in study.get_trials(deepcopy=False, states=(TrialState.WAITING, *STARTED)):
        if other.number < number and other.user_attrs.get("overrides") == text:
            return other
    return None


def _repeat(trial: Trial, earlier: FrozenTrial) -> float:
    """End a trial as the earlier one with the same overrides ended, without fitting anything."""
    trial.set_user_attr("repeats", earlier.number)
    for step, value in earlier.intermediate_values.items():
        trial.report(value, step)
    if earlier.state != TrialState.COMPLETE or earlier.value is None:
        raise optuna.TrialPruned
    return earlier.value
