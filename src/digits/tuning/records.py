"""Records of trials, read from Optuna's database as plain values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from digits.common.sealed import checksum

STARTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

_RESULTS, _DECISIVE = "results", ("name", "overrides")  # attributes of a trial

Overrides = dict[str, Any]  # parameters that differ from the default's
Result = dict[str, Any]  # of one fit, as digits.tuning.trial describes it


@dataclass(frozen=True)
class TrialRecord:
    """One trial that has ended.

    name: of a trial that was enqueued; "" for one that was drawn. results: of its fits, lowest rung first. full:
    whether it was fitted at the highest rung. failed: whether a fit failed. cause: why it ended early, if the
    parameters or a fit were the reason; else "".
    """

    number: int
    name: str
    overrides: Overrides
    results: tuple[Result, ...]
    full: bool
    failed: bool
    cause: str

    @property
    def title(self) -> str:
        """Its name, or its number."""
        return self.name or f"trial-{self.number}"

    @property
    def value(self) -> float:
        """Objective value at the highest rung of this trial; -inf without any fit."""
        return self.at(len(self.results))

    @property
    def accuracy(self) -> float:
        """Accuracy at the highest rung of this trial. Raises IndexError without any fit."""
        return float(self.results[-1]["accuracy"])

    def at(self, fits: int) -> float:
        """Objective value after so many fits, 0 to len(results)."""
        return objective_value(self.results[fits - 1]) if fits else float("-inf")


def objective_value(result: Result) -> float:
    """The value that is maximised: minus the log loss. The accuracy would depend on a few images."""
    return -float(result["log_loss"])


def with_checksum(attributes: dict[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """The results of a trial as its attribute: a database does not notice when a disk changes its bytes."""
    return {"fits": [*results], "checksum": checksum([*map(attributes.get, _DECISIVE), [*results]])}


def is_damaged(trial: FrozenTrial) -> bool:
    """Whether the results of a trial, or the overrides that they belong to, are not those that were written."""
    kept = trial.user_attrs.get(_RESULTS, {"fits": ()})
    return _RESULTS in trial.user_attrs and kept != with_checksum(trial.user_attrs, kept.get("fits", ()))


def to_json(overrides: Overrides) -> str:
    """The overrides as JSON, with the same text for equal overrides."""
    return json.dumps(overrides, sort_keys=True)


def trial_record(trial: FrozenTrial, rungs: Sequence[float]) -> TrialRecord:
    """The record of a trial that has ended. rungs: seconds of each rung."""
    attributes = trial.user_attrs
    results = tuple(attributes.get(_RESULTS, {}).get("fits", ()))
    return TrialRecord(
        number=trial.number,
        name=attributes.get("name", ""),
        overrides=json.loads(attributes.get("overrides", "{}")),
        results=results,
        full=len(results) == len(rungs),
        failed=trial.state == TrialState.FAIL,
        cause=attributes.get("cause", ""),
    )


def finished_trials(study: optuna.Study, rungs: Sequence[float]) -> list[TrialRecord]:
    """All trials that have ended, without repeats, damaged ones, and those that were killed with their command."""
    return [
        trial_record(trial, rungs)
        for trial in study.get_trials(deepcopy=False, states=FINISHED)
        if "repeats" not in trial.user_attrs
        and not is_damaged(trial)
        and (trial.state != TrialState.FAIL or "cause" in trial.user_attrs)
    ]


def furthest(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that have a fit and did not fail, sorted by rung and then by value, the best first."""
    fitted = [trial for trial in trials if trial.results and not trial.failed]
    return sorted(fitted, key=lambda trial: (len(trial.results), trial.value), reverse=True)


def finalists(trials: Sequence[TrialRecord], origin: str) -> list[TrialRecord]:
    """As `furthest`, without the origin and those behind it; the best by log loss and the best by accuracy take turns.

    The accuracy is what counts, but it depends on a few images; the log loss does not. One more fit of each decides.
    origin: name of the trial of the model that the search began with; behind it is what has a higher log loss and
    a lower accuracy after fits of the same seconds.
    """
    start = next((trial for trial in trials if trial.name == origin), None)

    def is_behind(trial: TrialRecord) -> bool:
        if start is None or not (fits := min(len(trial.results), len(start.results))):
            return False
        own, other = trial.results[fits - 1], start.results[fits - 1]
        return bool(objective_value(own) < objective_value(other) and own["accuracy"] < other["accuracy"])

    by_log_loss = [trial for trial in furthest(trials) if trial is not start and not is_behind(trial)]
    by_accuracy = sorted(by_log_loss, key=lambda trial: (len(trial.results), trial.accuracy), reverse=True)
    turns = chain.from_iterable(zip(by_log_loss, by_accuracy, strict=True))
    return [*{trial.number: trial for trial in turns}.values()]


def started_trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that a command has begun, without those that were killed with their command."""
    trials = study.get_trials(deepcopy=False)
    begun = [trial for trial in trials if trial.state.is_finished() or "driver" in trial.user_attrs]
    return [trial for trial in begun if trial.state in STARTED or "cause" in trial.user_attrs]


def spent_seconds(studies: Sequence[optuna.Study], now: float) -> float:
    """Seconds in which at least one trial of `studies` ran on any machine, without those of killed commands.

    now: as of time.time().
    """
    spans = sorted(
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp() if trial.datetime_complete else now)
        for study in studies
        for trial in started_trials(study)
        if trial.datetime_start
    )
    total = reached = 0.0
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
