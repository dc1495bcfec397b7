"""Chooses what a budget of time is spent on: network, length of its fits, further networks, share of the images.

A candidate plan is a network with a length of its fits. `schedule.simulate` simulates each, and the best one is taken.
Pure functions: no clock, no files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from math import floor

from digits.training.learning_curves import LearningCurve, blended
from digits.training.schedule import Goal, Sizes, Timing, fit_seconds, simulate

_SLACK = 1.15  # the fits that follow still have time if the first one takes this many times its expected duration
_ENOUGH_FOLDS = 5  # of each network, if there are several
_LONG_ENOUGH = 0.7  # share of the best length from which on a length is kept that has finished fits
_EPOCHS = 4  # of a sample, at least, that there is time for: fits are planned, and shortened, by whole epochs
_FEWEST = 2000  # images that a fold's fit learns from in the smallest sample


@dataclass(frozen=True)
class Budget:
    """The time to spend: `seconds` of each of the parallel `workers`. folds: number of folds of the data.

    refits: of each network, at most. seed: of the fits on folds; refits take the seeds that follow it. slower: of each
    worker, as in `simulate`.
    """

    seconds: float
    workers: int
    sizes: Sizes
    folds: int
    refits: int
    seed: int
    slower: tuple[float, ...] = ()

    def goal(self, epochs: int, folds: int, required: bool = True) -> Goal:
        """The goal for a network whose fits on folds have this many epochs."""
        return Goal(folds, epochs, self.seed, self.refits, required)


@dataclass(frozen=True)
class Option:
    """A candidate plan: a network with a length of its fits.

    length: epochs of a fold's fit, as in params. epochs: those that it will have, which are more for a small data set.
    curve: the accuracy of its fits.
    """

    network: str
    length: int
    epochs: int
    timing: Timing
    curve: LearningCurve


@dataclass(frozen=True)
class Share:
    """One network's share of the budget: seconds of each worker, and the fits that they are spent on."""

    option: Option
    seconds: float
    goal: Goal


def best_option(options: Sequence[Option], budget: Budget) -> Option:
    """The candidate plan whose blend is expected to make the fewest errors.

    Only those are compared in which a fold and a refit can end in time. If there is none, it is the one with the
    shortest fit of a fold.
    """
    if in_time := [option for option in options if least_seconds(option, budget) <= budget.seconds]:
        return min(in_time, key=lambda option: blended(expected_errors(allocate([option], budget)[0], budget)))
    return min(options, key=lambda option: _fold_seconds(option, budget))


def shared_out(
    options: Mapping[str, Sequence[Option]],
    candidates: Sequence[str],
    extra: Sequence[str],
    finished: Mapping[tuple[str, int], int],
    budget: Budget,
) -> list[Share]:
    """The budget, shared among the best candidate and as many of the extra networks as there is time for.

    finished: number of finished fits by network and length. Each network continues with the length that has the most,
    of those that are long enough; the fits of the others may still join the blend.
    """
    best = best_option([option for name in candidates for option in options[name]], budget)
    further = [options[name][-1] for name in extra if name != best.network]

    def with_most_fits(option: Option) -> Option:
        as_good = [each for each in options[option.network] if each.length >= _LONG_ENOUGH * option.length]
        return max([option, *as_good], key=lambda each: finished[each.network, each.length])

    return allocate([*map(with_most_fits, [best, *further])], budget)


def shares(images: int) -> list[int]:
    """What fits may learn, one in so many of the labelled images: all, 1, or a sample. images: all of a fold's fit."""
    samples = (_EPOCHS * 2**power for power in count(1))
    return [1, *takewhile(lambda share: images // share >= _FEWEST, samples)]


def best_share(least: Callable[[int], float], seconds: float, images: int) -> int:
    """All images, if a fold and a refit of them can end in time; else a sample; the smallest, if there is no time.

    least: fewest seconds of each worker for a fold and a refit on one in so many images. A sample is smaller than it
    must be, so that its fits can have _EPOCHS epochs or more.
    """
    in_time = (share for share in shares(images) if least(max(1, share // _EPOCHS)) <= seconds)
    return next(in_time, shares(images)[-1])


def expected_errors(share: Share, budget: Budget) -> tuple[float, ...]:
    """Expected error rates, 0 to 1, of the fits that a network's share of the budget has time for."""
    option, sizes = share.option, budget.sizes
    fits = simulate(share.goal, [], option.timing, sizes, share.seconds, budget.workers, budget.slower)
    return tuple(
        option.curve.error(each.fit.epochs, sizes.refit if each.fit.fold is None else sizes.fold) for each in fits
    )


def least_seconds(option: Option, budget: Budget) -> float:
    """Fewest seconds of each worker in which a fold and a refit can end in time."""
    fold, refit = _fold_seconds(option, budget), _refit_seconds(option, budget)
    return _SLACK * max(fold, refit, (fold + refit) / budget.workers)


def allocate(options: Sequence[Option], budget: Budget) -> list[Share]:
    """Share the budget among networks, in order.

    The first is always fitted. Each further one is fitted if there is time for _ENOUGH_FOLDS folds of all of them and
    as long again for refits, because networks can only be blended if they were fitted on the same folds. With few
    members a further network is worth no more than further refits of the first, so it comes last
    (docs/experiments/long-fits-and-members.md). Each has time for its longest fit, however many workers there are. All
    get the same multiple of the time that they need. At most half of the time goes to folds: one fold already shows how
    good a network is, while each refit adds a model to the submission.
    """
    enough = min(_ENOUGH_FOLDS, budget.folds)
    taken: list[Option] = []
    for option in options:
        if not taken or sum(_needed(each, budget) for each in (*taken, option)) <= budget.seconds:
            taken.append(option)
    multiple = budget.seconds / sum(_needed(option, budget) for option in taken)
    # _SLACK: folds that end late must not take time from the fits that follow
    folds = min(budget.folds, max(1 if len(taken) == 1 else enough, floor(multiple * enough / _SLACK)))
    return [
        Share(
            option, multiple * _needed(option, budget), budget.goal(option.epochs, folds, required=option == taken[0])
        )
        for option in taken
    ]


def _needed(option: Option, budget: Budget) -> float:
    """Fewest seconds of each worker that a network needs: its folds and as long for refits, or its longest fit."""
    fold, refit = _fold_seconds(option, budget), _refit_seconds(option, budget)
    return max(2 * min(_ENOUGH_FOLDS, budget.folds) * fold / budget.workers, _SLACK * fold, _SLACK * refit)


def _fold_seconds(option: Option, budget: Budget) -> float:
    return fit_seconds(budget.goal(option.epochs, 1).fold_fit(0), option.timing, budget.sizes)


def _refit_seconds(option: Option, budget: Budget) -> float:
    """Expected seconds of the shortest refit."""
    return fit_seconds(budget.goal(option.epochs, 1).shortest_refit, option.timing, budget.sizes)
