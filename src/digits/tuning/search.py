"""The search: trials one after the other or side by side, short fits first, as long as there is time."""

import json
import os
import platform
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any
from zlib import crc32

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.models.search_space import Space, suggest, to_params
from digits.tuning.storage import give_up_stale, queue_again

MOST_FAILURES = 5  # in a row, after which something other than the parameters is wrong
_MOST_REPEATS = 20  # in a row, after which the space has nothing else to draw
_RANDOM = 10  # trials drawn at random before the sampler learns from them
_START = "the start"  # no name of a trial, which would have no blank
_PER_NAT = 1e-6  # of log loss, taken from the accuracy: it decides ties and nothing else, an image being worth more
_NEVER = datetime(1970, 1, 1)
_BEGUN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

Overrides = dict[str, Any]
Result = dict[str, Any]  # of digits.tuning.trial
# (overrides, answer): fit and judge; answer(result) says whether to go on to a longer fit. Raises ProcessDiedError, or
# ValueError where the overrides describe no model
Judge = Callable[[Overrides, Callable[[Result], bool]], None]


@dataclass(frozen=True)
class Plan:
    """What is searched and how.

    kind: of model. first: overrides that are tried before any are drawn, by name. start: values of dimensions, for the
    first trial that is drawn. lengths: of the fits of a trial, in epochs. reduction: one trial in so many goes on to
    the next length. trials: at most; None: any number.
    """

    kind: str
    space: Space
    first: dict[str, Overrides]
    start: dict[str, Any]
    lengths: tuple[int, ...]
    reduction: int
    seed: int
    trials: int | None


@dataclass(frozen=True)
class TrialRecord:
    """One trial that has ended. results: of its fits, shortest first. cause: why it went no further, where it is known.

    full: whether it reached the full length, so that `value` is comparable with that of others that did.
    """

    number: int
    name: str
    overrides: Overrides
    results: tuple[Result, ...]
    history: tuple[dict[str, float], ...]
    full: bool
    failed: bool
    cause: str

    @property
    def optimizer(self) -> str:
        """Its name; nothing where it is the default's."""
        said = self.overrides.get("optimizer", "")
        return said if isinstance(said, str) else str(said.get("name", ""))

    @property
    def value(self) -> float:
        """What is maximised, after the longest fit; -inf where there is none."""
        return value_of(self.results[-1]) if self.results else float("-inf")


class _FailedError(Exception):
    """Ends a trial in Optuna's state of failure."""


def value_of(result: Result) -> float:
    """What is maximised: accuracy, and among equals the smaller log loss."""
    return float(result["accuracy"] - _PER_NAT * min(result["log_loss"], 1.0))


def open_study(storage: BaseStorage, name: str, plan: Plan, shared: bool) -> optuna.Study:
    """The study of that name, made by whoever comes first. shared: between machines."""
    # Each length's values are compared with all others of that length. Hyperband's brackets would begin half of the
    # trials with longer fits, which costs more than it finds within an hour or two.
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=plan.reduction)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
    )
    _queue_first(study, plan)
    requeue_killed(study)
    # from the same seed the sampler would draw what it has drawn before, or what another machine draws
    own = crc32(driver().encode()) if shared else 0
    study.sampler = _sampler((plan.seed + len(_begun(study)) + own) % 2**32)
    return study


def _queue_first(study: optuna.Study, plan: Plan) -> None:
    """Queue the first trials that nobody has queued yet: another machine may be about to, or was killed before it did.

    What two machines queue at the same time is run by one of them, as all that is the same.
    """
    queued = {trial.user_attrs.get("queued") for trial in study.get_trials(deepcopy=False)}
    for title, overrides in plan.first.items():
        if title not in queued:
            named = {"queued": title, "name": title, "overrides": _written(overrides)}
            study.enqueue_trial({}, user_attrs=named)
    if plan.start and _START not in queued:
        study.enqueue_trial(plan.start, user_attrs={"queued": _START})


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of `group`, which conditional dimensions need
        return optuna.samplers.TPESampler(
            n_startup_trials=_RANDOM, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def requeue_killed(study: optuna.Study) -> None:
    """Queue again, with their parameters, the trials that were running when their command was killed on this machine.

    Those of other machines follow when their heartbeat has stopped for long enough; until then their time counts.
    """
    give_up_stale(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if _is_orphan(trial.user_attrs.get("driver", "")):
            study.tell(trial.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    queued = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    for trial in trials:
        if trial.state == TrialState.FAIL and "cause" not in trial.user_attrs and trial.number not in queued:
            queue_again(study, trial)


def driver() -> str:
    """The machine and process that runs a trial."""
    return f"{platform.node()} {os.getpid()}"


def _is_orphan(driver: str) -> bool:
    node, _, pid = driver.rpartition(" ")
    if node != platform.node() or not pid:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def search(
    study: optuna.Study,
    plan: Plan,
    judge: Judge,
    left: Callable[[], float],
    workers: int,
    tell: Callable[[TrialRecord], None],
) -> None:
    """Run trials until `left`, in seconds, is less than a first fit takes, or there are plan.trials of them.

    It also ends where nothing is left to draw. tell: hears of each trial that ends. A trial that dies is recorded with
    its cause, and the search goes on; one that is stopped, or that the end of the time cuts before its first result, is
    run again by the next command that has time. Raises UserError after MOST_FAILURES trials in a row that died.
    """
    failures: list[str] = []  # causes, of the last trials in a row
    repeats: list[int] = []  # numbers, of the last trials in a row

    def after(study: optuna.Study, frozen: FrozenTrial) -> None:
        ended = tried(frozen, plan)
        failures[:] = [*failures, ended.cause] if ended.failed and ended.cause else []
        repeats[:] = [*repeats, ended.number] if "repeats" in frozen.user_attrs else []
        if not repeats and (ended.cause or not ended.failed):
            tell(ended)
        over = left() <= 0 or left() < _first_fit_seconds(study)
        if over or len(failures) >= MOST_FAILURES or len(repeats) >= _MOST_REPEATS:
            study.stop()

    missing = None if plan.trials is None else plan.trials - len(_begun(study))
    if left() < _first_fit_seconds(study) or (missing is not None and missing <= 0):
        return
    study.optimize(
        lambda trial: _objective(study, trial, plan, judge, left),
        n_trials=missing,
        n_jobs=workers,
        catch=(_FailedError,),
        callbacks=[after],
    )
    if len(failures) >= MOST_FAILURES:
        raise UserError(
            f"{MOST_FAILURES} trials in a row failed, the last one so: {failures[-1]}; every finished trial is kept, "
            "the same command goes on from there"
        )


def _objective(study: optuna.Study, trial: Trial, plan: Plan, judge: Judge, left: Callable[[], float]) -> float:
    trial.set_user_attr("driver", driver())
    text = trial.user_attrs.get("overrides") or _written(to_params(plan.kind, suggest(trial, plan.space)))
    trial.set_user_attr("overrides", text)
    if (earlier := _same(study, trial.number, text)) is not None:
        return _repeat(trial, earlier)
    results: list[Result] = []

    def answer(result: Result) -> bool:
        results.append({name: value for name, value in result.items() if name != "history"})
        trial.set_user_attr("results", results)
        trial.set_user_attr("history", result["history"])
        step = plan.reduction ** (len(results) - 1)
        trial.report(value_of(result), step)
        if len(results) == len(plan.lengths) or trial.should_prune():
            return False
        if left() < result["seconds"] * plan.lengths[len(results)] / result["length"]:
            trial.set_user_attr("cause", "no time left for a longer fit")
            return False
        return True

    try:
        judge(json.loads(text), answer)
    except ProcessStoppedError as error:
        raise _FailedError from error
    except ProcessDiedError as error:
        cut = left() <= 0
        if results or not cut:
            trial.set_user_attr("cause", str(error))
        raise (optuna.TrialPruned if results and cut else _FailedError) from error
    except ValueError as error:
        trial.set_user_attr("cause", str(error))
        raise optuna.TrialPruned from error
    if len(results) < len(plan.lengths):
        raise optuna.TrialPruned
    return value_of(results[-1])


def _same(study: optuna.Study, number: int, text: str) -> FrozenTrial | None:
    """The first trial with the same overrides that waits, is running or has ended, where it is not this one."""
    for other in study.get_trials(deepcopy=False, states=(TrialState.WAITING, *_BEGUN)):
        if other.number < number and other.user_attrs.get("overrides") == text:
            return other
    return None


def _repeat(trial: Trial, earlier: FrozenTrial) -> float:
    """End a trial as the earlier one with the same overrides ended, without running anything."""
    trial.set_user_attr("repeats", earlier.number)
    for step, value in earlier.intermediate_values.items():
        trial.report(value, step)
    if earlier.state != TrialState.COMPLETE or earlier.value is None:
        raise optuna.TrialPruned
    return earlier.value


def _begun(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that are running or have ended, but those that were killed with their command."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state in _BEGUN or "cause" in trial.user_attrs]


def _first_fit_seconds(study: optuna.Study) -> float:
    """Median over the trials; 0 where there is none yet."""
    found = [trial.user_attrs["results"][0]["seconds"] for trial in _with_results(study)]
    return median(found) if found else 0.0


def _with_results(study: optuna.Study) -> list[FrozenTrial]:
    ended = study.get_trials(deepcopy=False, states=_BEGUN)
    return [trial for trial in ended if trial.user_attrs.get("results") and "repeats" not in trial.user_attrs]


def tried(trial: FrozenTrial, plan: Plan) -> TrialRecord:
    """What is remembered of a trial."""
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        name=attributes.get("name", ""),
        overrides=json.loads(attributes.get("overrides", "{}")),
        results=tuple(attributes.get("results", ())),
        history=tuple(attributes.get("history", ())),
        full=len(attributes.get("results", ())) == len(plan.lengths),
        failed=trial.state == TrialState.FAIL,
        cause=attributes.get("cause", ""),
    )


def finished_trials(study: optuna.Study, plan: Plan) -> list[TrialRecord]:
    """Every trial that has ended, but repeats and those that were killed with their command."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [
        tried(trial, plan)
        for trial in ended
        if "repeats" not in trial.user_attrs and (trial.state != TrialState.FAIL or "cause" in trial.user_attrs)
    ]


def spent_seconds(studies: Sequence[optuna.Study], now: datetime) -> float:
    """Seconds in which at least one trial of `studies` ran, on whichever machine; not those of killed commands."""
    spans = sorted(
        (trial.datetime_start, trial.datetime_complete or now)
        for study in studies
        for trial in _begun(study)
        if trial.datetime_start
    )
    total, reached = 0.0, _NEVER
    for start, end in spans:
        total += max(0.0, (end - max(start, reached)).total_seconds())
        reached = max(reached, end)
    return total


def _written(overrides: Overrides) -> str:
    return json.dumps(overrides, sort_keys=True)
