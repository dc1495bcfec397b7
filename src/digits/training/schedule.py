"""How a budget of time is shared out among networks, and spent: first on folds, then on all labelled images."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, floor
from typing import TypeVar

# Epochs of a fit on all images, in those of a fold's: within these bounds it takes up the time that is there.
_SHORTEST, _LONGEST = 0.6, 1.6
_SPARE = 1.15  # times as long as is expected may the first fits take before there is no time for those that follow
_IDLE = 0.2  # share of the workers' time, at the end, when what is left is too short for another fit
_WASTED = 0.1  # of it, that shorter fits would make use of
_ENOUGH = 5  # folds of each network, where there are several

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Timing:
    """Seconds that a network takes here: to start, per image learned from and epoch, per image predicted."""

    start: float
    image: float
    look: float

    def times(self, factor: float) -> "Timing":
        """As much slower."""
        return Timing(self.start * factor, self.image * factor, self.look * factor)


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

    folds: to be fitted, the first so many; epochs, seed: of their fits. fits: on all labelled images, at most. certain:
    whether the first fold is fitted even where there is no time for it, because without it there would be nothing.
    """

    folds: int
    epochs: int
    seed: int
    fits: int
    certain: bool = True

    def on(self, fold: int) -> Fit:
        """The fit of a fold."""
        return Fit(fold, self.epochs, self.seed)


@dataclass(frozen=True)
class Slot:
    """A fit that is foreseen, from `start` to `end`, in seconds from now."""

    fit: Fit
    start: float
    end: float


def seconds(fit: Fit, timing: Timing, sizes: Sizes) -> float:
    """How long a fit is expected to take."""
    images = sizes.whole if fit.fold is None else sizes.fold
    return timing.start + timing.image * images * fit.epochs + timing.look * sizes.shown


def next_fit(goal: Goal, begun: Sequence[Fit], timing: Timing, sizes: Sizes, left: float) -> Fit | None:
    """What a worker with so many seconds left should do now; None: nothing more.

    begun: all fits that are done or running, on whichever worker. A fold comes first where it can end in time; then
    fits on all images, each from a seed of its own, as few as use the time up without being much longer than the
    goal's.
    """
    wholes = [fit for fit in begun if fit.fold is None]
    needed = goal.certain and len(wholes) == len(begun)  # there is no fold yet
    for fold in range(goal.folds):
        fit = goal.on(fold)
        if fit not in begun and (needed or seconds(fit, timing, sizes) <= left):
            return fit
    if len(wholes) >= goal.fits:
        return None
    # not their number: where a command was killed, the seed of one that is done may be above that of one that is not
    usual = Fit(None, goal.epochs, 1 + max([goal.seed, *(fit.seed for fit in wholes)]))
    shortest, longest = _bounds(goal.epochs)

    def epochs_of_each(among: int) -> int:
        learning = left / among - timing.start - timing.look * sizes.shown
        return floor(learning / (timing.image * sizes.whole))

    if epochs_of_each(1) < shortest:
        return None
    epochs = next(each for each in map(epochs_of_each, count(1)) if each <= longest)
    # where starting takes longer than learning, one fit more may leave each of them too short
    return replace(usual, epochs=epochs if epochs >= shortest else longest)


def _bounds(epochs: int) -> tuple[int, int]:
    """Fewest and most epochs of a fit on all images."""
    return ceil(_SHORTEST * epochs), round(_LONGEST * epochs)


def foresee(goal: Goal, begun: Sequence[Fit], timing: Timing, sizes: Sizes, left: float, workers: int) -> list[Slot]:
    """All fits that so many workers, each with so many seconds left, will do, in the order of their starts."""
    slots: list[Slot] = []
    free = [0.0] * workers
    known = [*begun]
    while free:
        at = min(free)
        free.remove(at)
        if fit := next_fit(goal, known, timing, sizes, left - at):
            known.append(fit)
            slots.append(Slot(fit, at, at + seconds(fit, timing, sizes)))
            free.append(slots[-1].end)
    return slots


def choose(
    networks: Sequence[Mapping[Name, tuple[int, Timing]]], sizes: Sizes, left: float, workers: int, wanted: Goal
) -> Name:
    """The last network that has time, for fits as long as can be.

    networks: from the plainest to the best; of each the lengths that its fits may have, epochs and timing by name, from
    the shortest to the longest. wanted: as in `allot`. There is time for a fit of a fold that ends within `left`
    seconds, where one on all images can follow it or run beside it. Shorter ones are taken where the longest waste more
    than _WASTED of the workers' time that these would use. Networks that leave more than _IDLE unused come after all
    others; where none has time, the quickest is taken all the same.
    """
    known = {name: variant for variants in networks for name, variant in variants.items()}

    def of_fold(name: Name) -> float:
        return seconds(_of_fold(known[name][0]), known[name][1], sizes)

    def has_time(name: Name) -> bool:
        epochs, timing = known[name]
        whole = seconds(Fit(None, _bounds(epochs)[0], wanted.seed), timing, sizes)
        return _SPARE * max(of_fold(name), whole) <= left and _SPARE * (of_fold(name) + whole) <= workers * left

    def idle(name: Name) -> float:
        goal = allot({name: known[name]}, sizes, left, workers, wanted)[name].goal
        slots = foresee(goal, [], known[name][1], sizes, left, workers)
        return 1 - sum(slot.end - slot.start for slot in slots) / (workers * left)

    def best_length(names: Sequence[Name]) -> Name:
        least = min(map(idle, names))
        return next(each for each in reversed(names) if idle(each) <= least + _WASTED)

    in_time = [names for variants in networks if (names := [*filter(has_time, variants)])]
    found = [*map(best_length, in_time)]
    busy = [each for each in found if idle(each) <= _IDLE]
    return (busy or found or [min(known, key=of_fold)])[-1]


@dataclass(frozen=True)
class Share:
    """Of the time, for one network: seconds for each worker, and what they are spent on."""

    seconds: float
    goal: Goal


def allot(
    networks: Mapping[Name, tuple[int, Timing]], sizes: Sizes, left: float, workers: int, wanted: Goal
) -> dict[Name, Share]:
    """How much of the time, `left` seconds for each worker, is for which network.

    networks: epochs and timing by name. The first is fitted in any case; each other where that leaves time for _ENOUGH
    folds of all of them and as long again for fits on all images, for a network whose folds are not those of the others
    cannot be blended with them. Networks that differ make different errors; for few members that is worth no more than
    further fits of the same (docs/experiments.md), so they come last. However many workers there are,
    each has time for its longest fit. All get the same multiple of what they need. wanted: the number of folds that
    there are, the seed, and how many fits on all images are enough of each. At most half of the time is for folds: what
    they are worth is known when the first is done, while each fit on all images adds to what is submitted.
    """
    enough = min(_ENOUGH, wanted.folds)
    need: dict[Name, float] = {}
    for name, (epochs, timing) in networks.items():
        fold = seconds(_of_fold(epochs), timing, sizes)
        whole = seconds(Fit(None, _bounds(epochs)[0], wanted.seed), timing, sizes)
        need[name] = max(2 * enough * fold / workers, _SPARE * fold, _SPARE * whole)
    taken: list[Name] = []
    for name in networks:
        if not taken or sum(need[each] for each in (*taken, name)) <= left:
            taken.append(name)
    multiple = left / sum(need[name] for name in taken)
    # folds that are late must not take the time of what follows them
    folds = max(1 if len(taken) == 1 else enough, floor(multiple * enough / _SPARE))
    goal = replace(wanted, folds=min(wanted.folds, folds))
    return {
        name: Share(multiple * need[name], replace(goal, epochs=networks[name][0], certain=name == taken[0]))
        for name in taken
    }


def _of_fold(epochs: int) -> Fit:
    return Fit(0, epochs, 0)
