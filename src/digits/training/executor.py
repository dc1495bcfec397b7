"""Carries out one part of a plan: parallel fits of one network, each in a subprocess, until the time is used up."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic

from digits.common.console import Console, by_the_clock
from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, Send, run_in_subprocess
from digits.data.dataset import Dataset, load_dataset
from digits.training.budget import Part
from digits.training.crossval import preload
from digits.training.device import use_gpu
from digits.training.fitting import fit_fold_unit, fit_refit_unit, log_epochs
from digits.training.runs import RunFolder, RunSpec
from digits.training.schedule import Fit, Sizes, fit_seconds, next_fit


@dataclass(frozen=True)
class Executed:
    """How many fits were finished, and whether the user interrupted the rest."""

    fits: int
    interrupted: bool


@dataclass(frozen=True)
class _Task:
    """What a subprocess is sent. gpu: the one that it may use, None: whatever it sees."""

    data_folder: Path
    runs: Path
    spec: RunSpec
    fit: Fit
    gpu: str | None


@dataclass
class _Workers:
    """The threads that wait for the subprocesses, and what they share."""

    data: Dataset
    part: Part
    sizes: Sizes
    folder: RunFolder
    started: list[Fit]
    end: float  # by the clock of `monotonic`; no fit starts that is not expected to end by then
    deadline: float  # at which running fits are stopped
    progress: Callable[[str], None]
    warn: Callable[[str], None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    slowdown: float = 1.0  # of the last fit, in multiples of its expected duration
    finished: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    failure: str = ""

    def work(self, gpu: str | None) -> None:
        """Start one fit after the other, as long as there is time for one."""
        while fit := self._next():
            started = monotonic()
            title = _title(fit)
            required = self.part.goal.required and fit.fold == 0 and not self.folder.done(self.part.goal.folds)
            timeout = inf if required else max(1.0, self.deadline - started)
            modules = preload(self.folder.spec.model["kind"])
            task = _Task(self.data.folder, self.folder.path.parent, self.folder.spec, fit, gpu)

            def report(note: str, title: str = title) -> None:
                self.progress(f"{title}, {note}")

            try:
                run_in_subprocess(_fit_in_subprocess, task, report, timeout, modules, stop=self.stopped.is_set)
            except ProcessTimeoutError:
                self.warn(f"{title}: stopped, it would have ended too late; other programs slow this machine down")
                return
            except ProcessDiedError as error:
                with self.lock:
                    if not self.stopped.is_set():
                        self.failure = f"{title}: {error}"
                        self.stopped.set()
                return
            with self.lock:
                self.finished += 1
                self.slowdown = (monotonic() - started) / fit_seconds(fit, self.part.timing, self.sizes)

    def _next(self) -> Fit | None:
        with self.lock:
            if self.stopped.is_set():
                return None
            timing = self.part.timing.slower(self.slowdown)
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
    gpus: Sequence[str | None],
    console: Console,
) -> Executed:
    """Fit what training.schedule says for `left` seconds; finished fits are kept, and those of earlier commands count.

    deadline: seconds after which running fits are stopped. gpus: a worker for each, see Device.workers. Interrupted by
    the user, it keeps what is finished. Raises UserError where a fit fails.
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
            progress=by_the_clock(bar),
            warn=console.warn,
        )
        folder.open()
        interrupted = False
        with ThreadPoolExecutor(len(gpus)) as pool:
            waiting = [pool.submit(workers.work, gpu) for gpu in gpus]
            try:
                for worker in waiting:
                    worker.result()
            except KeyboardInterrupt:
                interrupted = True
                workers.stopped.set()
    if workers.failure:
        raise UserError(f"train: {workers.failure}; every finished fit is kept, the same command goes on")
    return Executed(workers.finished, interrupted)


def _title(fit: Fit) -> str:
    return f"refit, seed {fit.seed}" if fit.fold is None else f"fold {fit.fold + 1}"


def _fit_in_subprocess(task: _Task, send: Send) -> None:
    logging.getLogger("digits").setLevel(logging.INFO)
    logging.getLogger("digits").propagate = False
    use_gpu(task.gpu)
    data = load_dataset(task.data_folder)
    on_epoch = log_epochs(send)
    if task.fit.fold is None:
        fit_refit_unit(data, task.runs, task.spec, task.fit, on_epoch)
    else:
        fit_fold_unit(data, task.runs, task.spec, task.fit.fold, on_epoch)
