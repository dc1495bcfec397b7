"""One command's work on a study: search, confirm, decide, report, within the budget."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import joblib

from digits.common.console import Console, by_the_clock
from digits.config import Params
from digits.data.dataset import Dataset
from digits.models.search_space import narrow_space, values_inside
from digits.training.device import Device
from digits.training.tuned import Study
from digits.tuning import report
from digits.tuning.confirmation import confirm, confirmed_accuracies, missing_fits, open_confirmation
from digits.tuning.records import Overrides, Result, TrialRecord, finished_trials, furthest, spent_seconds
from digits.tuning.search import search
from digits.tuning.storage import open_storage
from digits.tuning.study import SearchPlan, open_study
from digits.tuning.trial import RESOURCE, rungs
from digits.tuning.trial_fits import Evaluator
from digits.tuning.verdict import DEFAULT, SEARCH_FOLD, CandidateFit, decide

if TYPE_CHECKING:
    import optuna

Candidates = dict[str, TrialRecord | None]  # by name: the default, which has no trial, then the finalists


@dataclass(frozen=True)
class Setup:
    """What is decided before the first trial.

    default: parameters of the model, with a value for every `auto` and this command's share of the cores. workers: fits
    in parallel. device_line: describes the device to the user; "" for scikit-learn.
    """

    default: dict[str, Any]
    plan: SearchPlan
    workers: int
    device_line: str = ""


def make_setup(params: Params, device: Callable[[], Device]) -> Setup:
    """The setup that the params describe. device: called for networks only, because it may load TensorFlow."""
    tune, network = params.tune, params.tune.model == "train"
    # a network's trial sees all GPUs and uses one; a baseline's trial uses one core
    workers = tune.workers or (joblib.cpu_count() if not network else 1 if device().gpus else device().parallel_fits)
    spec = device().resolve(params.train.spec, workers) if network else params.baseline.models[tune.model]
    default = spec.model_dump(mode="json")
    space = narrow_space(spec.kind, tune.space)
    plan = SearchPlan(
        kind=spec.kind,
        space=space,
        enqueue={DEFAULT: {}, **(tune.enqueue if network else {})},
        initial_point=values_inside(space, tune.initial_point if network else {}),
        rungs=rungs(tune.max_epochs or default[RESOURCE[spec.kind]], tune.reduction_factor),
        reduction_factor=tune.reduction_factor,
        seed=tune.seed,
        n_trials=tune.n_trials,
    )
    return Setup(default, plan, workers, device().description(default) if network else "")


@dataclass(frozen=True)
class Session:
    """A study that is open for work. searched, confirmation: its two parts. stop: set to end its fits at once."""

    params: Params
    data: Dataset
    setup: Setup
    searched: "optuna.Study"
    confirmation: "optuna.Study"
    stop: threading.Event = field(default_factory=threading.Event)

    def trials(self) -> list[TrialRecord]:
        """All trials that have ended, on any machine."""
        return finished_trials(self.searched, self.setup.plan.rungs)

    def candidates(self) -> Candidates:
        """The default and the finalists."""
        finalists = [trial for trial in furthest(self.trials()) if trial.overrides]
        named = {trial.name or f"trial-{trial.number}": trial for trial in finalists[: self.params.tune.finalists]}
        return {DEFAULT: None, **named}

    def seconds_left(self) -> float:
        """Seconds left of the budget; 0 after an interruption."""
        if self.stop.is_set():
            return 0.0
        return self.params.tune.budget * 60 - spent_seconds([self.searched, self.confirmation], time())

    def seconds_to_search(self) -> float:
        """Seconds until the confirmation must begin, which gets up to half of the budget."""
        tune = self.params.tune
        fits = tune.finalists + 2 * (self.data.fold_count - 1) * tune.seeds
        return self.seconds_left() - min(fits * self.full_seconds() / self.setup.workers, tune.budget * 60 / 2)

    def seeds(self) -> range:
        """Seeds of the confirmation: one that picks the leader, then those that judge it. Trials use another one."""
        first = max(self.params.tune.seed, self.params.train.seed) + 1
        return range(first, first + 1 + self.params.tune.seeds)

    def full_seconds(self) -> float:
        """Median duration of the fits at the highest rung; 0 if there is none yet."""
        seconds = [trial.results[-1]["seconds"] for trial in self.trials() if trial.full]
        return median(seconds) if seconds else 0.0

    def default_seconds(self) -> float:
        """Duration of the default's first fit; infinite until its trial has ended."""
        seconds = (trial.results[0]["seconds"] for trial in self.trials() if trial.name == DEFAULT and trial.results)
        return next(seconds, inf)

    def evaluator(self) -> Evaluator:
        """Fits the trials within the limits of this session."""
        return Evaluator(
            data=self.data,
            default=self.setup.default,
            normalise=self.params.data.normalise,
            rungs=self.setup.plan.rungs,
            max_cost=self.params.tune.max_cost,
            timeout=self.params.tune.trial_timeout,
            seconds_left=self.seconds_left,
            default_seconds=self.default_seconds,
            stop=self.stop,
        )


def tune(
    study: Study, params: Params, data: Dataset, device: Callable[[], Device], console: Console, reports: Path
) -> bool:
    """Use up the budget; write best.yaml of the study, and the report into `reports`.

    Returns whether the result is final: trials were run, and the finalists were confirmed, before the time ended.
    device: called for networks only. An interruption ends the running fits; the next command runs them again.
    """
    setup = make_setup(params, device)
    study.folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(params.tune.storage or f"sqlite:///{study.file}")
    searched = open_study(storage, study.name, setup.plan, shared=params.tune.storage is not None)
    session = Session(params, data, setup, searched, open_confirmation(storage, f"{study.name}-confirmed"))
    evaluator, started = session.evaluator(), monotonic()
    if setup.device_line:
        console.say(f"{setup.device_line}, trials in parallel: {setup.workers}")
    left = session.seconds_left() / 60
    console.say(f"budget: {params.tune.budget:g} minutes, {left:.1f} left; study: {study.folder}")
    console.say(report.header())
    with ThreadPoolExecutor(1) as pool:  # Optuna would wait for its trials before it lets an interruption through
        working = pool.submit(_search_and_confirm, session, evaluator, console)
        try:
            candidates = working.result()
        except KeyboardInterrupt:
            session.stop.set()
            raise
    trials, accuracies = session.trials(), confirmed_accuracies(session.confirmation)
    verdict = decide(accuracies, [*candidates], data.fold_count)
    winner = candidates[verdict.winner] if verdict.winner else None
    study.save(winner.overrides if winner else {}, verdict.text)
    console.say(verdict.text)
    report.write(reports, params.tune.model, study.name, searched, trials, candidates, accuracies, verdict)
    busy = sum(evaluator.seconds) / ((monotonic() - started) * setup.workers)
    console.say(f"{report.summary(trials)}; fits took {busy:.0%} of the time")
    missing = missing_fits(accuracies, [*candidates], session.seeds(), range(data.fold_count))
    final = len(trials) > 1 and not missing  # the first trial is the default's
    if not final:
        console.say(f"not final: the time is over; make tune BUDGET={2 * params.tune.budget:g} continues from here")
    return final


def _search_and_confirm(session: Session, evaluator: Evaluator, console: Console) -> Candidates:
    setup = session.setup

    def evaluate(overrides: Overrides, report_result: Callable[[Result], bool]) -> None:
        evaluator.evaluate(overrides, session.params.train.seed, SEARCH_FOLD, report_result)

    with console.bar("tune", session.seconds_left() / 60, "minutes") as bar:
        progress = by_the_clock(bar)

        @evaluator.ending_all()
        def after_trial(trial: TrialRecord) -> None:
            full = [each for each in session.trials() if each.full]
            best = max(full, key=lambda each: each.value, default=None)
            console.say(report.line(trial, best, session.seconds_to_search()))
            progress(f"best {best.value:.4f}" if best else "")

        @evaluator.ending_all()
        def after_fit(fit: CandidateFit, accuracy: float) -> None:
            progress(f"confirming {fit.candidate}, fold {fit.fold + 1}: {accuracy:.4f}")

        search(session.searched, setup.plan, evaluate, session.seconds_to_search, setup.workers, after_trial)
        candidates = session.candidates()
        confirm(
            session.confirmation,
            {name: trial.overrides if trial else {} for name, trial in candidates.items()},
            session.seeds(),
            range(session.data.fold_count),
            evaluator.fit_full,
            session.seconds_left,
            setup.workers,
            after_fit,
            session.full_seconds(),
        )
    return candidates
