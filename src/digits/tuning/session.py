"""One command's work on a study: search, confirm, decide, report, within the budget."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from digits.common.console import Console, by_the_clock
from digits.common.executors import Executor
from digits.config import Params
from digits.data.dataset import Dataset
from digits.training.learning_curves import as_measured
from digits.training.tuned import Fragment, Study
from digits.tuning import report
from digits.tuning.confirmation import (
    begun,
    confirm,
    confirmed_accuracies,
    confirmed_epochs,
    in_judgement,
    open_confirmation,
    settled,
)
from digits.tuning.found import network_fragment
from digits.tuning.origin import Machine, Origin, find_origin, search_plan, workers_of
from digits.tuning.records import Overrides, Result, TrialRecord, finalists, finished_trials, is_damaged, spent_seconds
from digits.tuning.search import search
from digits.tuning.storage import check_database, open_storage
from digits.tuning.study import SearchPlan, continue_study, of_other_versions, open_study
from digits.tuning.trial_fits import Evaluator
from digits.tuning.verdict import SEARCH_FOLD, CandidateFit, Verdict, decide, mean_accuracy

if TYPE_CHECKING:
    import optuna

Candidates = dict[str, TrialRecord | None]  # by name: the origin, which has no overrides, then the finalists


@dataclass(frozen=True)
class Session:
    """A study that is open for work.

    default: the origin's parameters with a value for every `auto` and this command's share of the cores. workers: fits
    in parallel. searched, confirmation: the study's two parts. executor: runs the fits. stop: set to end them at once.
    """

    params: Params
    data: Dataset
    origin: Origin
    default: dict[str, Any]
    plan: SearchPlan
    workers: int
    searched: "optuna.Study"
    confirmation: "optuna.Study"
    executor: Executor
    stop: threading.Event = field(default_factory=threading.Event)

    def trials(self) -> list[TrialRecord]:
        """All trials that have ended, on any machine."""
        return finished_trials(self.searched, self.plan.rungs)

    def candidates(self) -> Candidates:
        """The origin, and the finalist that is being judged, or else those that were not judged to the end.

        Whose judgement has begun is judged to its end: each further candidate makes all intervals wider.
        """
        accuracies = confirmed_accuracies(self.confirmation)
        done = settled(accuracies, self.origin.name, self.seeds(), self.folds)
        best = [trial for trial in finalists(self.trials(), self.origin.name) if trial.title not in done]
        judging = [trial for trial in best if trial.title in begun(accuracies)]
        named: Candidates = {trial.title: trial for trial in judging or best[: self.params.tune.finalists]}
        return {self.origin.name: None, **named}

    @property
    def folds(self) -> range:
        """All folds."""
        return range(self.data.fold_count)

    def seconds_left(self) -> float:
        """Seconds left of the budget; 0 after an interruption."""
        if self.stop.is_set():
            return 0.0
        return self.params.tune.budget * 60 - spent_seconds([self.searched, self.confirmation], time())

    def seconds_to_confirm(self) -> float:
        """Seconds that are kept for the confirmation: at most half of those that are left."""
        fits = 1 + self.params.tune.finalists + 2 * (self.data.fold_count - 1) * self.params.tune.seeds
        return min(fits * self.plan.rungs[-1] / self.workers, self.seconds_left() / 2)

    def seeds(self) -> range:
        """Seeds of the confirmation: one that picks the leader, then those that judge it. Trials use another one."""
        first = max(self.params.tune.seed, self.params.train.seed) + 1
        return range(first, first + 1 + self.params.tune.seeds)

    def is_final(self) -> bool:
        """Whether a finalist was judged to the end and none is being judged, or nothing was left to try."""
        confirmed = confirmed_accuracies(self.confirmation), self.origin.name, self.seeds(), self.folds
        judged = bool(settled(*confirmed)) and not in_judgement(*confirmed)
        return judged or self.seconds_left() > self.plan.rungs[-1]

    def evaluator(self) -> Evaluator:
        """Fits the trials within the limits of this session."""
        return Evaluator(
            data=self.data,
            default=self.default,
            normalise=self.params.data.normalise,
            rungs=self.plan.rungs,
            pace=self.origin.pace,
            seconds_left=self.seconds_left,
            stop=self.stop,
            executor=self.executor,
        )

    def verdict(self) -> Verdict:
        """The verdict over all that was confirmed so far."""
        return decide(confirmed_accuracies(self.confirmation), self.origin.name, self.data.fold_count)

    def fragment(self, winner: TrialRecord) -> Fragment:
        """What replaces the origin, for params.yaml."""
        epochs = confirmed_epochs(self.confirmation, winner.title)
        if self.params.tune.model != "train":  # so many epochs that it takes the time in which it has won
            found = winner.overrides | {"max_iter": max(1, round(epochs)), "early_stopping": False}
            return {"baseline": {"models": {self.params.tune.model: found}}}
        accuracies = confirmed_accuracies(self.confirmation)
        images, least = len(self.data.train_rows(0)), 1 / len(self.data.valid_rows(0))  # an error rate above 0
        names = self.origin.name, winner.title
        before, now = (max(least, 1 - mean_accuracy(accuracies, name, judged=True)) for name in names)
        tried = next(trial for trial in self.trials() if trial.name == self.origin.name)
        errors, shares = {}, {}
        rung = slice(len(self.plan.rungs) - 2, len(self.plan.rungs) - 1)  # the last but one, if there is one
        for first, its in zip(tried.results[rung], winner.results[rung], strict=False):
            if (epochs_of := first["epochs"]) < self.origin.epochs:
                error, own = (max(least, 1 - each["accuracy"]) for each in (first, its))
                errors[epochs_of], shares[epochs_of] = as_measured(error, images), own / error
        errors[self.origin.epochs], shares[self.origin.epochs] = as_measured(before, images), now / before
        return network_fragment(self.params, self.origin, winner.overrides, epochs, errors, shares)


def open_session(study: Study, params: Params, data: Dataset, machine: Machine) -> Session:
    """The study, opened or begun."""
    study.folder.mkdir(parents=True, exist_ok=True)
    if not params.tune.storage:
        check_database(study.file)
    storage = open_storage(params.tune.storage or f"sqlite:///{study.file}")
    searched = open_study(storage, study.name)
    console = machine.console
    if damaged := sum(map(is_damaged, searched.get_trials(deepcopy=False))):
        console.warn(f"damaged trials in the study's database, which are not used: {damaged}")
    if notice := of_other_versions(searched, study.search):
        console.warn(notice)
    workers = workers_of(params, machine)
    origin = find_origin(searched, params, data, machine, workers)
    network = params.tune.model == "train"

    def resolve(spec: Any) -> Any:
        return machine.device().resolve(spec, workers) if network else spec

    default = resolve(origin.spec).model_dump(mode="json")
    plan = search_plan(origin, resolve, params, data)
    continue_study(searched, plan, shared=params.tune.storage is not None)
    confirmation = open_confirmation(storage, f"{study.name}-confirmed")
    if network:
        console.say(f"on {machine.device().where}, trials in parallel: {workers}")
    return Session(params, data, origin, default, plan, workers, searched, confirmation, machine.executor(workers))


def tune(study: Study, params: Params, data: Dataset, machine: Machine, reports: Path) -> bool:
    """Use up the budget; write what was found into the study's folder, and the report into `reports`.

    Returns whether the result is final. An interruption ends the running fits; the next command runs them again.
    """
    session, console = open_session(study, params, data, machine), machine.console
    evaluator, started = session.evaluator(), monotonic()
    left, rungs = session.seconds_left() / 60, ", ".join(f"{seconds:.0f}" for seconds in session.plan.rungs)
    console.say(
        f"which model is more accurate than {session.origin.name} in the same time? Fits of {rungs} s; "
        f"{params.tune.budget:g} minutes, {left:.1f} left; study: {study.folder}"
    )
    console.say(report.header())
    with ThreadPoolExecutor(1) as pool:  # Optuna would wait for its trials before it lets an interruption through
        working = pool.submit(_search_and_confirm, session, evaluator, console)
        try:
            candidates = working.result()
        except KeyboardInterrupt:
            session.stop.set()
            raise
    trials, accuracies, verdict = session.trials(), confirmed_accuracies(session.confirmation), session.verdict()
    candidates |= {trial.title: trial for trial in trials if trial.title in verdict.gains}
    winner = candidates[verdict.winner] if verdict.winner else None
    study.save(session.fragment(winner) if winner else {}, verdict.text)
    console.table(*report.front(trials, session.plan.rungs))
    console.say(verdict.text)
    rungs_of_plan, model = session.plan.rungs, params.tune.model
    report.write(reports, model, study.name, session.searched, trials, rungs_of_plan, candidates, accuracies, verdict)
    busy = sum(evaluator.seconds) / ((monotonic() - started) * session.workers)
    console.say(f"{report.summary(trials)}; fits took {busy:.0%} of the time")
    if not (final := session.is_final()):
        over = f"the time is over; make tune BUDGET={2 * params.tune.budget:g} continues from here"
        console.say(over if winner else f"not final: {over}")
    return final


def _search_and_confirm(session: Session, evaluator: Evaluator, console: Console) -> Candidates:
    """Rounds of a search and a confirmation, until a model has won or the time is over."""

    def evaluate(overrides: Overrides, report_result: Callable[[Result], bool]) -> None:
        evaluator.evaluate(overrides, session.params.train.seed, SEARCH_FOLD, report_result)

    with console.bar("tune", session.seconds_left() / 60, "minutes") as bar:
        progress = by_the_clock(bar)
        kept = 0.0

        def seconds_to_search() -> float:
            return session.seconds_left() - kept

        @evaluator.ending_all()
        def after_trial(trial: TrialRecord) -> None:
            console.say(report.line(trial, session.trials(), seconds_to_search()))
            progress("")

        @evaluator.ending_all()
        def after_fit(fit: CandidateFit, accuracy: float) -> None:
            console.say(f"confirming {fit.candidate}, fold {fit.fold + 1}, seed {fit.seed}: {accuracy:.4f}")
            progress("")

        while True:
            before, kept = _done(session), session.seconds_to_confirm()
            search(session.searched, session.plan, evaluate, seconds_to_search, session.workers, after_trial)
            candidates = session.candidates()
            confirm(
                session.confirmation,
                {name: trial.overrides if trial else {} for name, trial in candidates.items()},
                session.seeds(),
                session.folds,
                evaluator.fit_full,
                session.seconds_left,
                session.workers,
                after_fit,
                session.plan.rungs[-1],
            )
            if _done(session) == before or session.verdict().winner:
                return candidates


def _done(session: Session) -> tuple[int, int]:
    """Numbers of trials and of confirming fits."""
    return len(session.trials()), len(confirmed_accuracies(session.confirmation))
