"""How a budget of time is spent on fits of one network: first on folds, then on all labelled images."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, floor
from typing import TypeVar

# Epochs of a fit on all images, in those of a fold's: within these bounds it takes up the time that is there.
_SHORTEST, _LONGEST = 0.6, 1.6
_SPARE = 1.15  # times as long as is expected may the first fits take before there is no time for those that follow
_IDLE = 0.2  # share of the workers' time, at the end, when what is left is too short for another fit

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Pace:
    """Seconds that a network takes here: to start, per image learned from and epoch, per image predicted."""

    start: float
    image: float
    look: float

    def times(self, factor: float) -> "Pace":
        """As much slower."""
        return Pace(self.start * factor, self.image * factor, self.look * factor)


@dataclass(frozen=True)
class Sizes:
    """Numbers of images: that a fold's model and that one of all labelled images learn from, and that each predicts."""

    fold: int
    whole: int
    shown: int


@dataclass(frozen=True)
class Fit:
    """One fit. fold: that it does not learn from; None: it learns from every labelled image."""

    fold: int | None
    epochs: int
    seed: int


@dataclass(frozen=True)
class Goal:
    """What the time is spent on.

    folds: to be fitted, the first so many; epochs, seed: of their fits. fits: on all labelled images, at most.
    """

    folds: int
    epochs: int
    seed: int
    fits: int

    def on(self, fold: int) -> Fit:
        """The fit of a fold."""
        return Fit(fold, self.epochs, self.seed)


@dataclass(frozen=True)
class Slot:
    """A fit that is foreseen, from `start` to `end`, in seconds from now."""

    fit: Fit
    start: float
    end: float


def seconds(fit: Fit, pace: Pace, sizes: Sizes) -> float:
    """How long a fit is expected to take."""
    images = sizes.whole if fit.fold is None else sizes.fold
    return pace.start + pace.image * images * fit.epochs + pace.look * sizes.shown


def next_fit(goal: Goal, begun: Sequence[Fit], pace: Pace, sizes: Sizes, left: float) -> Fit | None:
    """What a worker with so many seconds left should do now; None: nothing more.

    begun: all fits that are done or running, on whichever worker. A fold comes first where it can end in time (the very
    first in any case, for without it there is nothing); then fits on all images, each from a seed of its own, as few as
    use the time up without being much longer than the goal's.
    """
    for fold in range(goal.folds):
        fit = goal.on(fold)
        if fit not in begun and (not begun or seconds(fit, pace, sizes) <= left):
            return fit
    wholes = [fit for fit in begun if fit.fold is None]
    if len(wholes) >= goal.fits:
        return None
    # not their number: where a command was killed, the seed of one that is done may be above that of one that is not
    usual = Fit(None, goal.epochs, 1 + max([goal.seed, *(fit.seed for fit in wholes)]))
    shortest, longest = _bounds(goal.epochs)

    def epochs_of_each(among: int) -> int:
        learning = left / among - pace.start - pace.look * sizes.shown
        return floor(learning / (pace.image * sizes.whole))

    if epochs_of_each(1) < shortest:
        return None
    epochs = next(each for each in map(epochs_of_each, count(1)) if each <= longest)
    # where starting takes longer than learning, one fit more may leave each of them too short
    return replace(usual, epochs=epochs if epochs >= shortest else longest)


def _bounds(epochs: int) -> tuple[int, int]:
    """Fewest and most epochs of a fit on all images."""
    return ceil(_SHORTEST * epochs), round(_LONGEST * epochs)


def foresee(goal: Goal, begun: Sequence[Fit], pace: Pace, sizes: Sizes, left: float, workers: int) -> list[Slot]:
    """All fits that so many workers, each with so many seconds left, will do, in the order of their starts."""
    slots: list[Slot] = []
    free = [0.0] * workers
    known = [*begun]
    while free:
        at = min(free)
        free.remove(at)
        if fit := next_fit(goal, known, pace, sizes, left - at):
            known.append(fit)
            slots.append(Slot(fit, at, at + seconds(fit, pace, sizes)))
            free.append(slots[-1].end)
    return slots


def choose(
    networks: Mapping[Name, tuple[int, Pace]],
    sizes: Sizes,
    left: float,
    workers: int,
    folds: int,
    seed: int,
    fits: int,
) -> tuple[Name, Goal]:
    """The network of which the longest fits have time, and how many of the folds are fitted.

    networks: epochs and pace by name. seed, fits: as in the goal. A network has time where a fold's fit ends within
    `left` seconds, and one on all images can follow it or run beside it. At most half of the workers' time is for
    folds: what they are worth is known when the first is done, while each fit on all images adds to what is submitted.
    Networks whose fits leave more than _IDLE of the workers' time unused come after all others; where none has time,
    the quickest is taken all the same.
    """

    def of_fold(name: Name) -> float:
        epochs, pace = networks[name]
        return seconds(Fit(0, epochs, seed), pace, sizes)

    def goal(name: Name) -> Goal:
        time = floor(workers * left / 2 / of_fold(name))
        return Goal(min(folds, max(1, time)), networks[name][0], seed, fits)

    def has_time(name: Name) -> bool:
        epochs, pace = networks[name]
        whole = seconds(Fit(None, _bounds(epochs)[0], seed), pace, sizes)
        return _SPARE * max(of_fold(name), whole) <= left and _SPARE * (of_fold(name) + whole) <= workers * left

    def is_busy(name: Name) -> bool:
        slots = foresee(goal(name), [], networks[name][1], sizes, left, workers)
        return sum(slot.end - slot.start for slot in slots) >= (1 - _IDLE) * workers * left

    quickest = min(networks, key=of_fold)
    name = max(filter(has_time, networks), key=lambda each: (is_busy(each), of_fold(each)), default=quickest)
    return name, goal(name)
