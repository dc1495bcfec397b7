"""Which network a budget of time goes to, with how long fits, and how it is shared with further networks.

Every candidate plan, a network with a length of its fits, is simulated by `schedule.simulate`; the best one is taken.
No clock, no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from digits.training.schedule import Goal, Sizes, Timing, fit_seconds, simulate

_SLACK = 1.15  # times its expected duration may the first fit take before there is no time for those that follow
_IDLE = 0.2  # share of the workers' time, at the end, that is too short for another fit: more is a waste
_WASTED = 0.1  # share of the workers' time that shorter fits would use and longer ones leave idle
_ENOUGH_FOLDS = 5  # of each network, where there are several


@dataclass(frozen=True)
class Budget:
    """What there is to spend. seconds: of each of the parallel `workers`. folds: of the data. refits: of each network.

    seed: of the folds' fits; refits take the seeds that follow it.
    """

    seconds: float
    workers: int
    sizes: Sizes
    folds: int
    refits: int
    seed: int

    def goal(self, epochs: int, folds: int, required: bool = True) -> Goal:
        """What is wanted of a network whose fits of folds have so many epochs."""
        return Goal(folds, epochs, self.seed, self.refits, required)


@dataclass(frozen=True)
class Option:
    """A candidate plan: a network with a length of its fits.

    length: epochs of a fold's fit as params would say them. epochs: as they will be, which is more for small data sets.
    """

    network: str
    length: int
    epochs: int
    timing: Timing


@dataclass(frozen=True)
class Share:
    """Of the budget, for one network: seconds of each worker, and what they are spent on."""

    option: Option
    seconds: float
    goal: Goal


def best_option(networks: Sequence[Sequence[Option]], budget: Budget) -> Option:
    """The best network that has time, with fits as long as they can be without leaving workers idle.

    networks: from the plainest to the best; of each its options, from the shortest fits to the longest. A network has
    time where a fold and a refit can end in time. Shorter fits are taken where the longest would waste more than
    _WASTED of the workers' time. Networks that leave more than _IDLE unused come after all others. Where none has time,
    the option with the shortest fit of a fold is taken all the same.
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
    """Share of the workers' time in which nothing would be fitted, were this network fitted alone."""
    [share] = allocate([option], budget)
    fits = simulate(share.goal, [], option.timing, budget.sizes, budget.seconds, budget.workers)
    return 1 - sum(each.end - each.start for each in fits) / (budget.workers * budget.seconds)


def allocate(options: Sequence[Option], budget: Budget) -> list[Share]:
    """Share the budget among networks, in order.

    The first is fitted in any case; each further one where that leaves time for _ENOUGH_FOLDS folds of all of them and
    as long again for refits: a network whose folds are not those of the others cannot be blended with them. For few
    members another network is worth no more than further refits of the first (docs/experiments.md), so they come last.
    However many workers there are, each has time for its longest fit. All get the same multiple of what they need. At
    most half of the time goes to folds: their worth is known when the first is finished, while each refit adds to what
    is submitted.
    """
    enough = min(_ENOUGH_FOLDS, budget.folds)
    taken: list[Option] = []
    for option in options:
        if not taken or sum(_needed(each, budget) for each in (*taken, option)) <= budget.seconds:
            taken.append(option)
    multiple = budget.seconds / sum(_needed(option, budget) for option in taken)
    # folds that end late must not take the time of what follows them
    folds = min(budget.folds, max(1 if len(taken) == 1 else enough, floor(multiple * enough / _SLACK)))
    return [
        Share(
            option, multiple * _needed(option, budget), budget.goal(option.epochs, folds, required=option == taken[0])
        )
        for option in taken
    ]


def _needed(option: Option, budget: Budget) -> float:
    """Seconds of each worker that a network needs at least: its folds and as much for refits, or its longest fit."""
    fold, refit = _fold_seconds(option, budget), _refit_seconds(option, budget)
    return max(2 * min(_ENOUGH_FOLDS, budget.folds) * fold / budget.workers, _SLACK * fold, _SLACK * refit)


def _fold_seconds(option: Option, budget: Budget) -> float:
    return fit_seconds(budget.goal(option.epochs, 1).fold_fit(0), option.timing, budget.sizes)


def _refit_seconds(option: Option, budget: Budget) -> float:
    """Of the shortest refit."""
    return fit_seconds(budget.goal(option.epochs, 1).shortest_refit, option.timing, budget.sizes)
