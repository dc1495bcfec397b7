"""The order of a network's fits in a given time: folds first, then refits. Pure functions: no clock, no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor
from statistics import median

# Epochs of a refit as a share of those of a fold's fit: within these bounds refits use the time up.
_SHORTEST, _LONGEST = 0.6, 1.6
_DRIFT = 4 / 3  # times as long as expected, or as short, is more than the durations of fits vary by
_KEPT = 1 / 3  # of its epochs; a fit that has made so many is worth waiting for


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

    planned: epochs that a refit was to have, where it has been shortened to end in time.
    """

    fold: int | None
    epochs: int
    seed: int
    planned: int | None = None


@dataclass(frozen=True)
class Goal:
    """The fits that are wanted of one network.

    folds: the first so many are fitted. epochs, seed: of their fits. refits: at most. required: whether the first fold
    is fitted even where it cannot end in time, because without it there would be no result at all.
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
    """By what factor fits take longer than their timing says, in the median; 1: by less than a third, or one fit alone.

    slowdowns: of finished fits, in multiples of their expected durations.
    """
    factor = median(slowdowns) if len(slowdowns) > 1 else 1.0
    return 1.0 if 1 / _DRIFT <= factor <= _DRIFT else factor


def is_kept(fit: Fit, done: int) -> bool:
    """Whether a fit with `done` epochs goes on though it is late: a refit to a near end, a fold to the planned one."""
    return done >= _KEPT * fit.epochs


def epochs_in_time(fit: Fit, done: int, affordable: float) -> int:
    """Epochs that a refit with `done` of them shall have in all: at most the planned ones, and at least one more.

    affordable: number of further epochs that there is time for at its present speed. Where the refit would have less
    than the share that is kept, it has that: it is stopped if it does not get so far in time.
    """
    return min(fit.epochs, max(done + floor(affordable), done + 1, ceil(_KEPT * fit.epochs)))


def epochs_to_predict(timing: Timing, sizes: Sizes) -> float:
    """Time that the predictions of a refit take, in epochs of it, which a busy machine slows down as much."""
    return timing.per_prediction * sizes.predicted / (timing.per_image * sizes.refit)


def next_fit(goal: Goal, started: Sequence[Fit], timing: Timing, sizes: Sizes, left: float) -> Fit | None:
    """The fit that a worker with `left` seconds starts now; None: no further fit is worth it.

    started: all fits that are finished or running, on any worker. A fold comes first where it can end in time; then
    refits, each from a seed of its own, as few as use the time up without being much longer than a fold's fit.
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
    # above all seeds in use, not their number: after a kill the seed of a finished refit may be above a missing one
    return Fit(None, epochs, 1 + max([goal.seed, *(fit.seed for fit in refits)])) if epochs else None


def _refit_epochs(goal: Goal, timing: Timing, sizes: Sizes, left: float) -> int | None:
    """Epochs of the next of the fewest refits that fill `left` seconds; None where there is no time for one."""
    shortest, longest = goal.shortest_refit.epochs, round(_LONGEST * goal.epochs)

    def epochs_of_each(refits: int) -> int:
        learning = left / refits - timing.start - timing.per_prediction * sizes.predicted
        return floor(learning / (timing.per_image * sizes.refit))

    if epochs_of_each(1) < shortest:
        return None
    epochs = next(epochs for epochs in map(epochs_of_each, count(1)) if epochs <= longest)
    # where starting takes longer than learning, one more refit may leave each of them too short
    return epochs if epochs >= shortest else longest


def simulate(
    goal: Goal, started: Sequence[Fit], timing: Timing, sizes: Sizes, left: float, workers: int
) -> list[ScheduledFit]:
    """All fits that `workers` parallel workers, each with `left` seconds, will do, in the order of their starts."""
    schedule: list[ScheduledFit] = []
    free = [0.0] * workers  # when each worker ends its fit, seconds from now
    fits = [*started]
    while free:
        now = min(free)
        free.remove(now)
        if fit := next_fit(goal, fits, timing, sizes, left - now):
            fits.append(fit)
            schedule.append(ScheduledFit(fit, now, now + fit_seconds(fit, timing, sizes)))
            free.append(schedule[-1].end)
    return schedule
