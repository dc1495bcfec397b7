"""Search for better parameters, confirm the best on all folds, and keep the default unless the gain is above noise."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from math import inf
from statistics import median
from time import monotonic
from typing import Any

import joblib

from digits.cli.context import Context, Outcome
from digits.common.files import read_json, write_atomic, write_json
from digits.common.logs import log_to
from digits.evaluation.metrics import Gain
from digits.models.search_space import narrow_space, values_inside
from digits.training.tuned import TUNED, Study, study_of
from digits.tuning import report
from digits.tuning.confirmation import DEFAULT, Unit, confirm, confirmed, gain, leader, mean_accuracy, open_confirmation
from digits.tuning.plots import draw_study
from digits.tuning.search import (
    Overrides,
    Plan,
    Result,
    TrialRecord,
    finished_trials,
    open_study,
    search,
    spent_seconds,
)
from digits.tuning.storage import open_storage
from digits.tuning.trial import LENGTH, lengths
from digits.tuning.trial_fits import Fits

SEARCH_FOLD = 0  # trials are judged on this fold, so that gains are taken from the others


def run(context: Context) -> Outcome:
    """Make runs/tune/<study>/best.yaml and reports/tune/."""
    study = study_of(context.params, context.data, context.paths.studies, context.params.tune.model)
    asked = {"minutes": context.params.tune.budget, "trials": context.params.tune.n_trials}
    known = read_json(study.folder / "done.json")
    worked = not known or known["minutes"] < asked["minutes"] or known["trials"] != asked["trials"]
    if worked:
        with log_to(study.folder / "log.txt"):
            _Tuning(context, study).run()
        write_json(study.folder / "done.json", asked)
    best = (study.folder / "best.yaml").relative_to(context.paths.root)
    found = f"{len(study.best)} parameters changed" if study.best else "the default stays"
    after = "make submit   trains what was found, or a network that is known to be better and has time"
    if context.params.tune.model != "train":
        after = "make baseline"
    return Outcome(f"{found}; {best}, reports/tune/report.md", worked, (after,))


class _Tuning:
    """One command's part in a study."""

    def __init__(self, context: Context, study: Study):
        self.context, self.study, self.params = context, study, context.params.tune
        self.stopped = threading.Event()
        study.folder.mkdir(parents=True, exist_ok=True)
        storage = open_storage(self.params.storage or f"sqlite:///{study.file}")
        self.searched = open_study(storage, study.name, self.plan, shared=self.params.storage is not None)
        self.confirmation = open_confirmation(storage, f"{study.name}-confirmed")

    @cached_property
    def workers(self) -> int:
        """Trials at the same time. Two beside each other get more done than one on two cores; a GPU holds one."""
        cores = joblib.cpu_count() if self.params.model != "train" or not self.context.device.gpus else 1
        return self.params.workers or min(2, cores)

    @cached_property
    def default(self) -> dict[str, Any]:
        """Parameters of the model, as they would be fitted here, with this command's share of the cores."""
        if self.params.model != "train":
            return self.context.params.baseline.models[self.params.model].model_dump(mode="json")
        model = self.context.device.resolve(self.context.params.train.spec).model_dump(mode="json")
        return model | {"threads": max(1, model["threads"] // self.workers)}

    @cached_property
    def plan(self) -> Plan:
        """What is searched."""
        kind = self.default["kind"]
        first, start = (self.params.enqueue, self.params.initial_point) if self.params.model == "train" else ({}, {})
        space = narrow_space(kind, self.params.space)
        return Plan(
            kind=kind,
            space=space,
            first={DEFAULT: {}, **first},
            start=values_inside(space, start),
            lengths=lengths(self.params.max_epochs or self.default[LENGTH[kind]], self.params.reduction_factor),
            reduction=self.params.reduction_factor,
            seed=self.params.seed,
            trials=self.params.n_trials,
        )

    @cached_property
    def fits(self) -> Fits:
        """What fits the trials."""
        return Fits(
            data=self.context.data,
            default=self.default,
            normalise=self.context.params.data.normalise,
            lengths=self.plan.lengths,
            largest=self.params.max_cost,
            timeout=self.params.trial_timeout,
            left=self.left,
            usual=self.default_seconds,
            stopped=self.stopped,
        )

    def run(self) -> None:
        """Search, confirm, decide, report. Interrupted, what runs is ended at once; the next command runs it again."""
        started = monotonic()
        console = self.context.console
        if self.plan.kind == "cnn":
            console.say(f"{self.context.device.description(self.default)}, trials at a time: {self.workers}")
        console.say(f"up to {self.params.budget:g} minutes, {self.left() / 60:.1f} of them left; {self.study.folder}")
        console.say(f"{report.row(report.HEADINGS[:-1])}  {report.HEADINGS[-1]}")
        with ThreadPoolExecutor(1) as pool:  # Optuna would wait for its trials before it lets an interruption through
            searching = pool.submit(self._search_and_confirm)
            try:
                candidates = searching.result()
            except KeyboardInterrupt:
                self.stopped.set()
                raise
        self.decide(candidates)
        busy = sum(self.fits.seconds) / ((monotonic() - started) * self.workers)
        console.say(f"{report.summary(self.tried())}; {1 - busy:.1%} of the time was no fit")

    def _search_and_confirm(self) -> dict[str, TrialRecord | None]:
        """Use up the budget; returns the default and the best few by name."""
        console = self.context.console
        with console.bar("tune", self.left() / 60, "minutes") as bar:
            seen = monotonic()

            def advance(note: str) -> None:
                nonlocal seen
                now = monotonic()
                bar.advance((now - seen) / 60, note)
                seen = now

            def tell(trial: TrialRecord) -> None:
                best = next(iter(report.best_of(self.tried())), None)
                console.say(report.line(trial, best, self.left_to_search()))
                advance(f"best {best.value:.4f}" if best else "")

            search(self.searched, self.plan, self.judge, self.left_to_search, self.workers, tell)
            candidates = self.candidates()

            def tell_unit(unit: Unit, accuracy: float) -> None:
                advance(f"confirming {unit.candidate}, fold {unit.fold + 1}: {accuracy:.4f}")

            if len(candidates) > 1:
                confirm(
                    self.confirmation,
                    {name: trial.overrides if trial else {} for name, trial in candidates.items()},
                    range(self.params.seed, self.params.seed + self.params.seeds),
                    range(self.context.data.fold_count),
                    self.fits.full,
                    self.left,
                    self.workers,
                    tell_unit,
                    self.full_seconds(),
                )
        return candidates

    def left(self) -> float:
        """Seconds of the budget; none once the user has interrupted it."""
        if self.stopped.is_set():
            return 0.0
        return self.params.budget * 60 - spent_seconds([self.searched, self.confirmation], datetime.now())

    def left_to_search(self) -> float:
        """Seconds until the confirmation must begin; it gets up to half of the budget."""
        folds = self.context.data.fold_count
        fits = folds * (1 + self.params.finalists) + 2 * folds * (self.params.seeds - 1)
        return self.left() - min(fits * self.full_seconds() / self.workers, self.params.budget * 60 / 2)

    def full_seconds(self) -> float:
        """Median of the fits of full length; 0 where there is none yet."""
        full = [trial.results[-1]["seconds"] for trial in self.tried() if trial.full]
        return median(full) if full else 0.0

    def tried(self) -> list[TrialRecord]:
        """All trials that have ended, on whichever machine."""
        return finished_trials(self.searched, self.plan)

    def candidates(self) -> dict[str, TrialRecord | None]:
        """The default and the best few by name."""
        best = [trial for trial in report.furthest(self.tried()) if trial.overrides]
        return {
            DEFAULT: None,
            **{trial.name or f"trial-{trial.number}": trial for trial in best[: self.params.finalists]},
        }

    def judge(self, overrides: Overrides, answer: Callable[[Result], bool]) -> None:
        """One trial."""
        self.fits.judge(overrides, self.context.params.train.seed, SEARCH_FOLD, answer)

    def default_seconds(self) -> float:
        """Of the default's first fit; infinite before its trial has ended."""
        return next((each.results[0]["seconds"] for each in self.tried() if each.name == DEFAULT and each.results), inf)

    def decide(self, candidates: dict[str, TrialRecord | None]) -> None:
        """Write best.yaml, and the report."""
        found = confirmed(self.confirmation)
        gains = {name: gained for name in candidates if (gained := gain(found, name, SEARCH_FOLD)) and name != DEFAULT}
        overrides: Overrides = {}
        measured: dict[str, dict[str, float]] = {}
        verdict = "nothing was confirmed to be better: the default stays"
        if gains:
            best = leader(found, [*candidates])
            verdict = _verdict(best, gains.get(best))
            if best in gains and gains[best].low > 0 and (trial := candidates[best]):
                overrides, measured = trial.overrides, self._measured(found, best)
        self.study.save(overrides, verdict, measured)
        self.context.console.say(verdict)
        self._write_report(verdict, candidates, found, gains)

    def _measured(self, found: dict[Unit, float], best: str) -> dict[str, dict[str, float]]:
        """Accuracy of a network on the competition's images, without the fold that flatters what was searched on it."""
        if self.params.model != "train" or self.context.data.practice:
            return {}
        accuracy = mean_accuracy({unit: value for unit, value in found.items() if unit.fold != SEARCH_FOLD}, best)
        return {self.context.params.competition.slug: {TUNED: round(accuracy, 4)}}

    def _write_report(
        self, verdict: str, candidates: dict[str, TrialRecord | None], found: dict[Unit, float], gains: dict[str, Gain]
    ) -> None:
        trials, folder = self.tried(), self.context.paths.reports / "tune"
        pictures = draw_study(self.searched, trials, folder, self.study.folder.name)
        write_atomic(folder / "trials.csv", report.table(trials).to_csv(index=False, lineterminator="\n"))
        parts = [
            f"# Search for `{self.params.model}`",
            f"{verdict}.",
            report.confirmation(found, candidates, gains),
            "Gains are of fits with the same seed on the same fold, without the fold that trials were judged on.",
            f"{report.summary(trials)} ([trials.csv](trials.csv)).",
            *[f"![{picture.title}]({picture.path.name})" for picture in pictures.values()],
        ]
        write_atomic(folder / "report.md", "\n\n".join(part for part in parts if part) + "\n")


def _verdict(best: str, gained: Gain | None) -> str:
    if gained is None:
        return f"{best} is not ahead of the default, or too few fits of both are there to say so: the default stays"
    taken = "taken" if gained.low > 0 else "not above noise: the default stays"
    return f"{best} gains {gained} in accuracy over the default: {taken}"
