"""The order of a network's fits in a given time: folds first, then refits. Pure functions: no clock, no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil, floor
from statistics import median

# Bounds of a refit's epochs, as shares of those of a fold's fit; within them refits are as long as the time allows.
_SHORTEST, _LONGEST = 0.6, 1.6
_DRIFT = 4 / 3  # a fit that takes this many times as long as expected, or as short, shows that the timing is wrong
_KEPT = 1 / 3  # share of its epochs from which on a late fit is worth waiting for


@dataclass(frozen=True)
class Timing:
    """Seconds that a network takes on this device: to start, per training image and epoch, per predicted image."""

    start: float
    per_image: float
    per_prediction: float

    def slower(self, factor: float) -> "Timing":
        """The timing of a network that takes `factor` times as long."""
        return Timing(self.start * factor, self.per_image * factor, self.per_prediction * factor)


@dataclass(frozen=True)
class Sizes:
    """Numbers of images: training images of a fold's fit and of a refit, and images that either predicts."""

    fold: int
    refit: int
    predicted: int


@dataclass(frozen=True)
class Fit:
    """One fit. fold: the fold that it is validated on; None: a refit, which trains on every labelled image.

    planned: epochs that a refit should have had, if it was shortened to end in time.
    """

    fold: int | None
    epochs: int
    seed: int
    planned: int | None = None


@dataclass(frozen=True)
class Goal:
    """The fits that one network should get.

    folds: number of folds to fit, from the first on. epochs, seed: of their fits. refits: at most. required: whether
    the first fold is fitted even if it cannot end in time, because without it there would be no result at all.
    """

    folds: int
    epochs: int
    seed: int
    refits: int
    required: bool = True

    def fold_fit(self, fold: int) -> Fit:
        """The fit of a fold."""
        return Fit(fold, self.epochs, self.seed)

    @property
    def shortest_refit(self) -> Fit:
        """The shortest refit that is worth its time."""
        return Fit(None, ceil(_SHORTEST * self.epochs), self.seed)


@dataclass(frozen=True)
class ScheduledFit:
    """A fit of a simulated schedule, from `start` to `end`, in seconds from now."""

    fit: Fit
    start: float
    end: float


def fit_seconds(fit: Fit, timing: Timing, sizes: Sizes) -> float:
    """Expected duration of a fit and its predictions, in seconds."""
    images = sizes.refit if fit.fold is None else sizes.fold
    return timing.start + timing.per_image * images * fit.epochs + timing.per_prediction * sizes.predicted


def drift(slowdowns: Sequence[float]) -> float:
    """Median factor by which fits take longer than their timing says; 1 if it is small (_DRIFT), or for a single fit.

    slowdowns: durations of finished fits, as multiples of the expected ones.
    """
    factor = median(slowdowns) if len(slowdowns) > 1 else 1.0
    return 1.0 if 1 / _DRIFT <= factor <= _DRIFT else factor


def is_kept(fit: Fit, done: int) -> bool:
    """Whether a fit with `done` epochs continues although it is late; a refit is then shortened, a fold is not."""
    return done >= _KEPT * fit.epochs


def epochs_in_time(fit: Fit, done: int, affordable: float) -> int:
    """Total number of epochs for a refit that has made `done`: at most the planned number, and at least one more.

    affordable: number of further epochs that there is time for at its present speed. The total is at least _KEPT of the
    planned epochs: a refit that does not get so far in time is stopped.
    """
    return min(fit.epochs, max(done + floor(affordable), done + 1, ceil(_KEPT * fit.epochs)))


def epochs_to_predict(timing: Timing, sizes: Sizes) -> float:
    """Time that a refit's predictions take, in epochs: a busy machine slows both down by the same factor."""
    return timing.per_prediction * sizes.predicted / (timing.per_image * sizes.refit)


def next_fit(goal: Goal, started: Sequence[Fit], timing: Timing, sizes: Sizes, left: float) -> Fit | None:
    """The fit that a worker with `left` seconds starts now; None if no further fit is worth its time.

    started: all fits that are finished or running, on any worker. Folds that can end in time come first. Then come
    refits, each from its own seed: as few as fill the time without being much longer than a fold's fit.
    """
    refits = [fit for fit in started if fit.fold is None]
    no_fold_yet = len(refits) == len(started)
    for fold in range(goal.folds):
        fit = goal.fold_fit(fold)
        if fit not in started and ((goal.required and no_fold_yet) or fit_seconds(fit, timing, sizes) <= left):
            return fit
    if len(refits) >= goal.refits:
        return None
    epochs = _refit_epochs(goal, timing, sizes, left)
    # above the highest seed in use, not their number: after a kill, a refit with a lower seed may be missing
    return Fit(None, epochs, 1 + max([goal.seed, *(fit.seed for fit in refits)])) if epochs else None


def _refit_epochs(goal: Goal, timing: Timing, sizes: Sizes, left: float) -> int | None:
    """Epochs of the next refit if as few as possible fill `left` seconds; None if there is no time for one."""
    shortest, longest = goal.shortest_refit.epochs, round(_LONGEST * goal.epochs)

    def epochs_of_each(refits: int) -> int:
        learning = left / refits - timing.start - timing.per_prediction * sizes.predicted
        return floor(learning / (timing.per_image * sizes.refit))

    if epochs_of_each(1) < shortest:
        return None
    epochs = next(epochs for epochs in map(epochs_of_each, count(1)) if epochs <= longest)
    # if starting takes longer than training, one more refit may make each of them too short
    return epochs if epochs >= shortest else longest


def simulate(
    goal: Goal,
    started: Sequence[Fit],
    timing: Timing,
    sizes: Sizes,
    left: float,
    workers: int,
    slower: Sequence[float] = (),
) -> list[ScheduledFit]:
    """All fits that `workers` parallel workers, each with `left` seconds, will do, in the order of their starts.

    slower: seconds of a fit on each of them, as multiples of those that the timing says, if they are not equal.
    """
    schedule: list[ScheduledFit] = []
    free = [(0.0, factor) for factor in slower or [1.0] * workers]  # seconds from now at which each ends its fit
    heapify(free)
    fits = [*started]
    while free:
        now, factor = heappop(free)
        own = timing.slower(factor)
        if fit := next_fit(goal, fits, own, sizes, left - now):
            fits.append(fit)
            schedule.append(ScheduledFit(fit, now, now + fit_seconds(fit, own, sizes)))
            heappush(free, (schedule[-1].end, factor))
    return schedule
