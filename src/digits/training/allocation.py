"""Chooses the network that a budget of time is spent on, the length of its fits, and the share of further networks.

A candidate plan is a network with a length of its fits. `schedule.simulate` simulates each, and the best one is taken.
Pure functions: no clock, no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from digits.training.schedule import Goal, Sizes, Timing, fit_seconds, simulate

_SLACK = 1.15  # the fits that follow still have time if the first one takes this many times its expected duration
_IDLE = 0.2  # share of the workers' time that may stay idle at the end because it is too short for another fit
_WASTED = 0.1  # shorter fits are taken if longer ones leave this much more of the workers' time idle
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
    """

    network: str
    length: int
    epochs: int
    timing: Timing


@dataclass(frozen=True)
class Share:
    """One network's share of the budget: seconds of each worker, and the fits that they are spent on."""

    option: Option
    seconds: float
    goal: Goal


def best_option(networks: Sequence[Sequence[Option]], budget: Budget) -> Option:
    """The best network that can be fitted in the time, with the longest fits that do not leave workers idle.

    networks: the options of each, from the shortest fits to the longest; the least accurate network first. A network
    can be fitted in the time if a fold and a refit can end in time. Shorter fits are taken if the longest leave more
    than _WASTED more of the workers' time idle. A network that leaves more than _IDLE unused is taken only if no other
    can be fitted in the time. If none can, the option with the shortest fit of a fold is taken.
    """
    in_time = [timely for options in networks if (timely := [each for each in options if _has_time(each, budget)])]
    found = [_longest_without_waste(options, budget) for options in in_time]
    busy = [option for option in found if _idle_share(option, budget) <= _IDLE]
    quickest = min((option for options in networks for option in options), key=lambda each: _fold_seconds(each, budget))
    return (busy or found or [quickest])[-1]


def _longest_without_waste(options: Sequence[Option], budget: Budget) -> Option:
    idle = [_idle_share(option, budget) for option in options]
    return [option for option, share in zip(options, idle, strict=True) if share <= min(idle) + _WASTED][-1]


def _has_time(option: Option, budget: Budget) -> bool:
    fold, refit = _fold_seconds(option, budget), _refit_seconds(option, budget)
    return _SLACK * max(fold, refit) <= budget.seconds and _SLACK * (fold + refit) <= budget.workers * budget.seconds


def _idle_share(option: Option, budget: Budget) -> float:
    """Share of the workers' time in which no fit would run if this network were fitted alone."""
    [share] = allocate([option], budget)
    fits = simulate(share.goal, [], option.timing, budget.sizes, budget.seconds, budget.workers)
    return 1 - sum(each.end - each.start for each in fits) / (budget.workers * budget.seconds)


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
