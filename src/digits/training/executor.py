"""Carries out one part of a plan: parallel fits of one network, until the time is used up."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from digits.common.console import Bar, Console, by_the_clock
from digits.common.errors import UserError
from digits.common.executors import Executor, Job, Place, Slot
from digits.common.processes import ProcessDiedError, ProcessStoppedError, Send, run_in_threads
from digits.data.dataset import Dataset, load_dataset
from digits.data.sample import with_hash
from digits.training.budget import Part
from digits.training.cards import use_gpu
from digits.training.crossval import preload
from digits.training.fitting import end_in_time, fit_fold_unit, fit_refit_unit, log_epochs
from digits.training.remedies import explained
from digits.training.runs import RunFolder, RunSpec
from digits.training.schedule import Fit, Sizes, epochs_to_predict, fit_seconds, is_kept, next_fit

_SLOW = "other programs slow this machine down"


@dataclass(frozen=True)
class Executed:
    """How many fits were finished, and whether the user interrupted the rest."""

    fits: int
    interrupted: bool


@dataclass(frozen=True)
class _Task:
    """What one fit is told. epochs_to_predict: argument of `end_in_time`, for a refit."""

    spec: RunSpec
    fit: Fit
    epochs_to_predict: float


@dataclass
class _Workers:
    """The threads that wait for the fits, and what they share."""

    data: Dataset
    part: Part
    sizes: Sizes
    folder: RunFolder
    started: list[Fit]
    end: float  # on the clock of `monotonic`; a fit starts only if it is expected to end by then
    deadline: float  # refits end by then, and fits that are still far from their end are stopped
    executor: Executor
    bar: Bar
    tick: Callable[[], None]
    warn: Callable[[str], None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    # by machine: duration of its last fit, as a multiple of the expected one
    slowdowns: dict[str, float] = field(default_factory=dict)
    finished: int = 0

    def work(self, _: int, stop: threading.Event) -> None:
        """Start one fit after the other while there is time for one."""
        going_on = True
        while going_on and not stop.is_set():
            with suppress(ProcessStoppedError), self.executor.slot(stop.is_set) as slot:
                fit = self._next(slot)
                going_on = fit is not None and self._fit(fit, slot, stop)

    def _fit(self, fit: Fit, slot: Slot, stop: threading.Event) -> bool:
        """Run a fit; returns whether it was not stopped. Raises UserError if it fails."""
        title, done = f"refit, seed {fit.seed}" if fit.fold is None else f"fold {fit.fold + 1}", 0
        required = self.part.goal.required and fit.fold == 0 and not self.folder.units(self.part.goal.folds).folds
        task = _Task(self.folder.spec, fit, epochs_to_predict(self.part.timing, self.sizes))
        place = Place(self.data.folder, self.folder.path.parent, self.deadline)

        def report(message: tuple[int, int, str]) -> None:
            nonlocal done
            done, *_ = message
            self.bar.part(title, *message)
            self.tick()

        def given_up() -> bool:
            return stop.is_set() or not (required or is_kept(fit, done) or monotonic() < self.deadline)

        try:
            job = Job(_carry_out, task, place, preload(self.folder.spec.model["kind"]))
            seconds = slot.run(job, report, given_up)
        except ProcessStoppedError:
            if not stop.is_set():
                self.bar.part(title, done, done, "stopped")
                self.warn(f"{title}: stopped because it would have ended too late; {_SLOW}")
            return False
        except ProcessDiedError as error:
            raise UserError(
                f"train: {title}: {explained(error)}; finished fits are kept; the same command continues"
            ) from None
        if fit.fold is None and done < fit.epochs:
            self.warn(f"{title}: shortened to {done} of {fit.epochs} epochs to end in time; {_SLOW}")
        with self.lock:
            self.finished += 1
            timing = self.part.timing.slower(slot.slower)
            self.slowdowns[slot.machine] = seconds / fit_seconds(replace(fit, epochs=done), timing, self.sizes)
        return True

    def _next(self, slot: Slot) -> Fit | None:
        with self.lock:
            timing = self.part.timing.slower(slot.slower * self.slowdowns.get(slot.machine, 1.0))
            fit = next_fit(self.part.goal, self.started, timing, self.sizes, self.end - monotonic())
            if fit:
                self.started.append(fit)
            return fit


def execute(
    data: Dataset,
    part: Part,
    sizes: Sizes,
    runs: Path,
    left: float,
    deadline: float,
    executor: Executor,
    console: Console,
) -> Executed:
    """Make the fits of training.schedule for `left` seconds; finished fits of earlier commands count.

    deadline: seconds after which no fit should run. A refit that would run longer is shortened; a fit that is far from
    its end by then is stopped, except the first fold. executor: runs the fits. Finished fits are kept, also if the user
    interrupts. Raises UserError if a fit fails.
    """
    now, folder = monotonic(), RunFolder(runs, part.spec)
    with console.bar(f"train {part.name}", max(left, 1) / 60, "minutes") as bar:
        workers = _Workers(
            data=data,
            part=part,
            sizes=sizes,
            folder=folder,
            started=part.finished(runs),
            end=now + left,
            deadline=now + deadline,
            executor=executor,
            bar=bar,
            tick=by_the_clock(bar),
            warn=console.warn,
        )
        folder.open()
        interrupted = False
        try:
            run_in_threads(workers.work, range(executor.threads), executor.threads)
        except KeyboardInterrupt:
            interrupted = True
    return Executed(workers.finished, interrupted)


def _carry_out(task: _Task, place: Place, send: Send) -> None:
    logging.getLogger("digits").setLevel(logging.INFO)
    logging.getLogger("digits").propagate = False
    use_gpu(place.gpu)
    data = with_hash(load_dataset(place.data), task.spec.data, task.fit.seed)
    assert data
    on_epoch = log_epochs(lambda *message: send(message))
    if task.fit.fold is None:
        in_time = end_in_time(task.fit, place.end, task.epochs_to_predict, on_epoch)
        fit_refit_unit(data, place.results, task.spec, task.fit, in_time)
    else:
        fit_fold_unit(data, place.results, task.spec, task.fit.fold, on_epoch)
