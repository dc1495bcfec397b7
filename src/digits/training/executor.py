"""Spend a budget of time on fits of one network, several at a time, each in a process of its own."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

from digits.common.console import Bar, Console
from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, Send, run_in_subprocess
from digits.data.dataset import Dataset, load_dataset
from digits.models import FAMILIES
from digits.training.budget import Part
from digits.training.crossval import PRELOAD
from digits.training.device import compute_on
from digits.training.fitting import fit_refit, fit_unit, log_epochs
from digits.training.runs import RunFolder, RunSpec
from digits.training.schedule import Fit, Sizes, next_fit, seconds


@dataclass(frozen=True)
class Spent:
    """How many fits were finished, and whether the user ended it before its time."""

    fits: int
    interrupted: bool


@dataclass(frozen=True)
class _Order:
    data_folder: Path
    runs: Path
    spec: RunSpec
    fit: Fit
    place: str | None


@dataclass
class _Spending:
    """What the workers share."""

    data: Dataset
    part: Part
    sizes: Sizes
    folder: RunFolder
    begun: list[Fit]
    ends: float  # by the clock of `monotonic`; nothing begins that is not expected to end by then
    latest: float  # when what has not ended is given up
    progress: Callable[[str], None]
    warn: Callable[[str], None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    slower: float = 1.0  # times, than expected
    finished: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    failure: str = ""

    def work(self, place: str | None) -> None:
        """Fit for as long as there is something to do in time."""
        while fit := self._take():
            started = monotonic()
            needed = self.part.goal.certain and fit.fold == 0
            allowed = inf if needed else max(1.0, self.latest - started)
            order = _Order(self.data.folder, self.folder.path.parent, self.folder.spec, fit, place)
            preload = (FAMILIES[self.folder.spec.model["kind"]], *PRELOAD)
            tell = partial(self._tell, _title(fit))
            try:
                run_in_subprocess(_fit_in_subprocess, order, tell, allowed, preload, stop=self.stopped)
            except ProcessTimeoutError:
                self.warn(f"{_title(fit)}: given up, it would have ended too late; other work slows this machine down")
                return
            except ProcessDiedError as error:
                with self.lock:
                    if not self.stopped.is_set():
                        self.failure = f"{_title(fit)}: {error}"
                        self.stopped.set()
                return
            with self.lock:
                self.finished += 1
                self.slower = (monotonic() - started) / seconds(fit, self.part.timing, self.sizes)

    def _take(self) -> Fit | None:
        with self.lock:
            if self.stopped.is_set():
                return None
            timing = self.part.timing.times(self.slower)
            fit = next_fit(self.part.goal, self.begun, timing, self.sizes, self.ends - monotonic())
            if fit:
                self.begun.append(fit)
            return fit

    def _tell(self, title: str, note: str) -> None:
        self.progress(f"{title}, {note}")


def spend(
    data: Dataset,
    part: Part,
    sizes: Sizes,
    runs: Path,
    left: float,
    latest: float,
    places: Sequence[str | None],
    console: Console,
) -> Spent:
    """Fit what is worth most in `left` seconds, see training.schedule; what is finished already counts, and stays.

    latest: seconds after which a fit that is still running is given up. places: a worker for each, see
    Device.places. Interrupted by the user, it keeps what is finished. Raises UserError where a fit fails.
    """
    started, folder = monotonic(), RunFolder(runs, part.spec)
    with console.bar(f"train {part.name}", max(left, 1) / 60, "minutes") as bar:
        work = _Spending(
            data=data,
            part=part,
            sizes=sizes,
            folder=folder,
            begun=part.begun(runs),
            ends=started + left,
            latest=started + latest,
            progress=_by_the_clock(bar),
            warn=console.warn,
        )
        folder.open()
        interrupted = False
        with ThreadPoolExecutor(len(places)) as pool:
            workers = [pool.submit(work.work, place) for place in places]
            try:
                for worker in workers:
                    worker.result()
            except KeyboardInterrupt:
                interrupted = True
                work.stopped.set()
    if work.failure:
        raise UserError(f"train: {work.failure}; every finished fit is kept, the same command goes on")
    return Spent(work.finished, interrupted)


def _by_the_clock(bar: Bar) -> Callable[[str], None]:
    """Moves a bar of minutes; from any thread."""
    lock, seen = threading.Lock(), monotonic()

    def advance(note: str) -> None:
        nonlocal seen
        with lock:
            now = monotonic()
            bar.advance((now - seen) / 60, note)
            seen = now

    return advance


def _title(fit: Fit) -> str:
    return f"all images, seed {fit.seed}" if fit.fold is None else f"fold {fit.fold + 1}"


def _fit_in_subprocess(order: _Order, ask: Send) -> None:
    logging.getLogger("digits").setLevel(logging.INFO)
    logging.getLogger("digits").propagate = False
    compute_on(order.place)
    data = load_dataset(order.data_folder)
    on_epoch = log_epochs(ask)
    if order.fit.fold is None:
        fit_refit(data, order.runs, order.spec, order.fit, on_epoch)
    else:
        fit_unit(data, order.runs, order.spec, order.fit.fold, on_epoch)
