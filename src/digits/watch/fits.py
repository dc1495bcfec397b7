"""The fits that the logs in runs/ tell of: which of them run, how far they are, and their curves."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ [A-Z]+ (\d{1,9}) (.*)")  # as common.logs writes them
_STARTS = re.compile(r"(?:fold-(\d+)|refit-(\d+)-\d+\S*) starts: ")
_EPOCH = re.compile(r"epoch (\d+) of (\d+): \{(.*)\}")
_ENDS = re.compile(r"(?:\S+ (done): \{(.*)\}|fold \d+ (failed))")
_FIGURE = re.compile(r"'(\w+)': ([-+.e\d]+)")
_SILENT = 6 * 3600.0  # seconds without a line after which a process with the same id is taken for another one


@dataclass
class Fit:
    """One fit of a run, as far as its log goes.

    run: name of its folder. unit: which fit, in words. process: id of the process that makes it. began, last: times of
    its first and its latest line, seconds since 1970. epoch, epochs: how many it has, and will have; 0: its model tells
    none. accuracy: (epoch, accuracy) on the training images, as they are augmented; valid_accuracy: on those of its
    fold, after some epochs. result: its accuracy out of fold, once it is done; a refit has none.
    """

    run: str
    unit: str
    process: int
    began: float
    last: float
    state: str = "running"
    epoch: int = 0
    epochs: int = 0
    result: float | None = None
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    valid_accuracy: list[tuple[int, float]] = field(default_factory=list)


class Logs:
    """The logs of all runs in a folder. A log is read again when it has grown."""

    def __init__(self, runs: Path):
        self._runs = runs
        self._known: dict[Path, tuple[int, list[Fit]]] = {}

    def fits(self, most: int) -> list[Fit]:
        """The latest fits, at most so many: those that run, then the others, the latest first."""
        known = {}
        for path in self._runs.glob("*/log.txt"):
            try:
                size = path.stat().st_size
                before = self._known.get(path)
                known[path] = before if before and before[0] == size else (size, read_log(path))
            except OSError:  # make clean-runs has removed it
                continue
        self._known = known
        now = time.time()
        fits = [_checked(fit, now) for _, own in known.values() for fit in own]
        return sorted(fits, key=lambda fit: (fit.state == "running", fit.last), reverse=True)[:most]


def read_log(path: Path) -> list[Fit]:
    """The fits of a run's log, the latest attempt of each; a line that is still being written is left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return list(_fits(path.parent.name, text[: text.rfind("\n") + 1].splitlines()))


def _fits(run: str, lines: Iterable[str]) -> Iterator[Fit]:
    """Several processes write into one log, so a line belongs to the fit that its own process has started last."""
    fits: dict[str, Fit] = {}
    current: dict[str, Fit] = {}
    for line in lines:
        if not (parts := _LINE.match(line)):
            continue
        stamp, process, message = parts.groups()
        now = time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))
        if starts := _STARTS.match(message):
            fold, seed = starts.groups()
            unit = f"refit, seed {seed}" if fold is None else f"fold {int(fold) + 1}"
            fits.pop(unit, None)
            fits[unit] = current[process] = Fit(run, unit, int(process), now, now)
        elif fit := current.get(process):
            fit.last = now
            _read(message, fit)
    yield from fits.values()


def _read(message: str, fit: Fit) -> None:
    if epoch := _EPOCH.match(message):
        fit.epoch, fit.epochs = int(epoch[1]), int(epoch[2])
        for name, value in _figures(epoch[3]).items():
            if name in ("accuracy", "valid_accuracy"):
                getattr(fit, name).append((fit.epoch, value))
    elif end := _ENDS.match(message):
        fit.state = end[1] or end[3]
        fit.result = _figures(end[2] or "").get("accuracy")


def _figures(text: str) -> dict[str, float]:
    """The numbers of a dictionary as Python prints it; those that are not finite are left out."""
    return {name: float(value) for name, value in _FIGURE.findall(text)}


def _checked(fit: Fit, now: float) -> Fit:
    """The fit; it is stopped if its process has ended without a word."""
    if fit.state == "running" and (now - fit.last > _SILENT or not _runs(fit.process)):
        fit.state = "stopped"
    return fit


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return process > 0
