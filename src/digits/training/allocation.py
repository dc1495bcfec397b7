"""Chooses the network that a budget of time is spent on, the length of its fits, and the share of further networks.

A candidate plan is a network with a length of its fits. `schedule.simulate` simulates each, and the best one is taken.
Pure functions: no clock, no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from digits.training.learning_curves import LearningCurve, blended
from digits.training.schedule import Goal, Sizes, Timing, fit_seconds, simulate

_SLACK = 1.15  # the fits that follow still have time if the first one takes this many times its expected duration
_ENOUGH_FOLDS = 5  # of each network, if there are several


@dataclass(frozen=True)
class Budget:
    """The time to spend: `seconds` of each of the parallel `workers`. folds: number of folds of the data.

    refits: of each network, at most. seed: of the fits on folds; refits take the seeds that follow it.
    """

    seconds: float
    workers: int
    sizes: Sizes
    folds: int
    refits: int
    seed: int

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
    if in_time := [option for option in options if _has_time(option, budget)]:
        return min(in_time, key=lambda option: blended(expected_errors(allocate([option], budget)[0], budget)))
    return min(options, key=lambda option: _fold_seconds(option, budget))


def expected_errors(share: Share, budget: Budget) -> tuple[float, ...]:
    """Expected error rates, 0 to 1, of the fits that a network's share of the budget has time for."""
    option, sizes = share.option, budget.sizes
    fits = simulate(share.goal, [], option.timing, sizes, share.seconds, budget.workers)
    return tuple(
        option.curve.error(each.fit.epochs, sizes.refit if each.fit.fold is None else sizes.fold) for each in fits
    )


def _has_time(option: Option, budget: Budget) -> bool:
    fold, refit = _fold_seconds(option, budget), _refit_seconds(option, budget)
    return _SLACK * max(fold, refit) <= budget.seconds and _SLACK * (fold + refit) <= budget.workers * budget.seconds


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
