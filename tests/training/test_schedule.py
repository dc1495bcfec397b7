"""A budget is used up, and not exceeded, on machines fast and slow, steady and not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from digits.training.allocation import Budget, Option, allocate, best_option
from digits.training.learning_curves import LearningCurve
from digits.training.schedule import (
    Fit,
    Goal,
    Sizes,
    Timing,
    drift,
    epochs_in_time,
    epochs_to_predict,
    fit_seconds,
    is_kept,
    next_fit,
    simulate,
)

SIZES = Sizes(fold=30_240, refit=42_000, predicted=40_000)
TIMING = Timing(start=6, per_image=1 / 3000, per_prediction=1 / 20_000)
NETWORKS = {"quick": 6, "middle": 13, "long": 22}  # epochs


def budget(left: float, workers: int, folds: int = 5) -> Budget:
    return Budget(seconds=left, workers=workers, sizes=SIZES, folds=folds, refits=1000, seed=42)


CURVE = LearningCurve.of({6: 0.9900, 13: 0.9940, 22: 0.9955, 33: 0.9960})


def option(name: str, epochs: int, timing: Timing = TIMING, curve: LearningCurve = CURVE) -> Option:
    return Option(name, epochs, epochs, timing, curve)


ALL = [option(name, epochs) for name, epochs in NETWORKS.items()]


def chosen(options: list[Option], left: float, workers: int) -> tuple[str, Goal]:
    """The one network that is fitted, and the goal of its fits."""
    best = best_option(options, budget(left, workers))
    [share] = allocate([best], budget(left, workers))
    return best.network, share.goal


@dataclass
class Machine:
    """A simulated machine whose real speed differs from what is expected of it."""

    workers: int
    factor: float  # times slower than the calibration said
    noise: float  # of each fit
    seed: int

    def execute(self, goal: Goal, timing: Timing, left: float) -> tuple[list[Fit], float]:
        """Fits and the time at which the last of them ends."""
        generator = np.random.default_rng(self.seed)
        free, begun, seen = [0.0] * self.workers, list[Fit](), timing
        ends = [0.0]
        while free:
            at = min(free)
            free.remove(at)
            if fit := next_fit(goal, begun, seen, SIZES, left - at):
                begun.append(fit)
                took = fit_seconds(fit, timing, SIZES) * self.factor * np.exp(self.noise * generator.normal())
                seen = seen.slower(took / fit_seconds(fit, seen, SIZES))
                free.append(at + took)
                ends.append(at + took)
        return begun, max(ends)


@dataclass
class Disturbed:
    """A simulated machine that other programs slow down by `factor` between two moments, in seconds from now."""

    factor: float
    since: float
    until: float
    deadline: float

    def after(self, at: float, seconds: float) -> float:
        """When work of so many seconds, on a quiet machine, is done that begins at `at`."""
        for end, factor in ((self.since, 1.0), (self.until, self.factor)):
            part = max(0.0, min(seconds, (end - at) / factor))
            at, seconds = at + part * factor, seconds - part
        return at + seconds

    def fit(self, fit: Fit, timing: Timing, at: float) -> tuple[float, int, bool]:
        """When a fit ends that begins at `at`, with how many epochs, and whether it has a result."""
        epoch = timing.per_image * (SIZES.refit if fit.fold is None else SIZES.fold)
        now, done, epochs = self.after(at, timing.start), 0, fit.epochs
        while done < epochs:
            if (end := self.after(now, epoch)) > self.deadline and not is_kept(fit, done):
                return max(now, self.deadline), done, False
            took, now, done = end - now, end, done + 1
            if fit.fold is None and 1 < done < epochs:
                affordable = (self.deadline - now) / took - epochs_to_predict(timing, SIZES)
                epochs = epochs_in_time(fit, done, affordable)
        return self.after(now, timing.per_prediction * SIZES.predicted), done, True


def late_at_most(factor: float) -> float:
    """Seconds: two epochs of a slowed refit and its predictions. They are what is left when it is last paced."""
    return factor * TIMING.per_image * SIZES.refit * (2 + epochs_to_predict(TIMING, SIZES))


@settings(deadline=None, max_examples=300)
@given(
    epochs=st.integers(5, 40),
    factor=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    since=st.floats(0, 1),
    lasting=st.floats(0, 2),
    spare=st.floats(0.001, 0.1),
)
def test_a_refit_that_is_slowed_down_ends_in_time_with_a_result(
    epochs: int, factor: float, since: float, lasting: float, spare: float
) -> None:
    """Whenever it is slowed down, and for how long: `since`, `lasting` and `spare` are shares of its duration."""
    fit = Fit(None, epochs, 1)
    seconds = fit_seconds(fit, TIMING, SIZES)
    machine = Disturbed(factor, since * seconds, (since + lasting) * seconds, (1 + spare) * seconds)
    end, done, has_result = machine.fit(fit, TIMING, 0.0)
    assert has_result == is_kept(fit, done)
    assert has_result or factor == 3, "twice as slow, it makes more than a third of its way"
    assert end <= machine.deadline + late_at_most(factor)
    assert done == epochs or factor > 1


@settings(deadline=None, max_examples=200)
@given(
    factor=st.sampled_from([1.5, 2.0, 3.0]), since=st.floats(0, 1), minutes=st.floats(2, 30), workers=st.integers(1, 4)
)
def test_a_budget_is_kept_though_the_machine_is_slowed_down(
    factor: float, since: float, minutes: float, workers: int
) -> None:
    """Fits that have made a third of their way by the deadline have a result.

    A fold keeps its planned epochs, so it ends within three times the seconds that it has had by then.
    """
    left = 60 * minutes
    _, goal = chosen(ALL, left, workers)
    machine = Disturbed(factor, since * left, 1e9, left * 1.02 / 0.94)
    free, begun, seen = [0.0] * workers, list[Fit](), TIMING
    while free:
        at = min(free)
        free.remove(at)
        if fit := next_fit(goal, begun, seen, SIZES, left - at):
            begun.append(fit)
            end, done, has_result = machine.fit(fit, TIMING, at)
            assert has_result == is_kept(fit, done)
            if fit.fold is None:
                assert end <= machine.deadline + late_at_most(factor)
            else:
                assert end <= at + 3 * max(machine.deadline - at, fit_seconds(fit, TIMING, SIZES))
            if has_result:
                seen = TIMING.slower((end - at) / fit_seconds(replace(fit, epochs=done), TIMING, SIZES))
                free.append(end)


def test_a_refit_has_the_epochs_that_it_has_time_for() -> None:
    fit = Fit(None, 14, 43)
    assert [epochs_in_time(fit, 5, affordable) for affordable in (100, 9, 8.9, 3.2)] == [14, 14, 13, 8]
    assert epochs_in_time(fit, 5, -3.0) == 6, "one more, in which the learning rate falls to its end"
    assert epochs_in_time(fit, 2, -3.0) == 5, "a third of its way is the least that it is worth waiting for"
    assert epochs_in_time(fit, 13, -3.0) == 14
    assert [is_kept(fit, done) for done in (0, 4, 5, 14)] == [False, False, True, True]
    assert epochs_to_predict(TIMING, SIZES) == pytest.approx((40_000 / 20_000) / (42_000 / 3000))


@settings(deadline=None, max_examples=200)
@example(minutes=1.09375, per_second=6981.0, workers=2, factor=1.0625, seed=0)  # half of it is just two folds' time
@example(minutes=28.75, per_second=500.0, workers=1, factor=1.09375, seed=534)  # too slow for the refit that was meant
@given(
    minutes=st.floats(1, 120),
    per_second=st.floats(500, 20_000),
    workers=st.integers(1, 8),
    factor=st.floats(0.9, 1.1),
    seed=st.integers(0, 1000),
)
def test_a_budget_is_used_up_and_kept(
    minutes: float, per_second: float, workers: int, factor: float, seed: int
) -> None:
    timing = Timing(6, 1 / per_second, 1 / (7 * per_second))
    left = minutes * 60
    options = [option(name, epochs, timing) for name, epochs in NETWORKS.items()]
    fold, whole = (fit_seconds(Fit(which, epochs, 42), timing, SIZES) for which, epochs in ((0, 6), (None, 4)))
    assume(1.15 * max(fold, whole) <= left and 1.15 * (fold + whole) <= workers * left)
    _, goal = chosen(options, left, workers)
    assert max(each.end for each in simulate(goal, [], timing, SIZES, left, workers)) >= 0.8 * left
    begun, end = Machine(workers, factor, 0.02, seed).execute(goal, timing, left)
    assert end <= 1.17 * left
    # a slower machine than was expected may be left without time for even the shortest refit; 1.1: noise of a fit
    shortest = fit_seconds(goal.shortest_refit, timing.slower(factor), SIZES)
    assert end >= 0.8 * left or left - end <= 1.1 * shortest
    assert [fit.fold for fit in begun if fit.fold is not None] == [*range(goal.folds)] or factor > 1
    assert len(set(begun)) == len(begun)
    seeds = [fit.seed for fit in begun if fit.fold is None]
    assert len(set(seeds)) == len(seeds)
    assert 42 not in seeds


def test_what_is_foreseen_is_what_is_done() -> None:
    _, goal = chosen(ALL, 1700, 2)
    schedule = simulate(goal, [], TIMING, SIZES, 1700, 2)
    begun, end = Machine(2, 1.0, 0.0, 0).execute(goal, TIMING, 1700)
    assert [each.fit for each in schedule] == begun
    assert max(each.end for each in schedule) == pytest.approx(end)
    assert end <= 1700


def test_each_worker_gets_what_it_has_time_for_at_its_own_speed() -> None:
    goal = Goal(folds=2, epochs=13, seed=0, refits=1000)
    equal, mixed = (simulate(goal, [], TIMING, SIZES, 1700, 2, slower) for slower in ((), (1.0, 3.0)))
    assert simulate(goal, [], TIMING, SIZES, 1700, 2, (1.0, 1.0)) == equal
    assert len(equal) / 2 < len(mixed) < len(equal)
    assert max(each.end for each in mixed) <= 1700
    expected = [fit_seconds(each.fit, TIMING, SIZES) for each in mixed]
    factors = [round((each.end - each.start) / alone, 6) for each, alone in zip(mixed, expected, strict=True)]
    assert {*factors} == {1.0, 3.0}
    assert factors[:2] == [1.0, 3.0]


def test_more_time_goes_on_where_less_has_ended() -> None:
    goal = Goal(folds=2, epochs=13, seed=0, refits=1000)
    short = [each.fit for each in simulate(goal, [], TIMING, SIZES, 600, 2)]
    more = [each.fit for each in simulate(goal, short, TIMING, SIZES, 600, 2)]
    assert not set(short) & set(more)
    assert {fit.fold for fit in short} >= {0, 1}
    assert {fit.fold for fit in more} == {None}


@pytest.mark.parametrize(("minutes", "expected"), [(1.3, "quick"), (3, "middle"), (5, "long"), (120, "long")])
def test_longer_budgets_have_time_for_longer_fits(minutes: float, expected: str) -> None:
    name, goal = chosen(ALL, minutes * 60, 2)
    assert name == expected
    assert goal.epochs == NETWORKS[expected]
    assert 1 <= goal.folds <= 5
    assert goal.folds == 5 or minutes < 120


def test_a_slow_network_is_taken_where_there_is_time_for_it() -> None:
    """Whatever their order; without time for as many epochs, a quick one that has learned more is better."""
    better = LearningCurve.of({5: 0.9880, 22: 0.9970})
    quick = [option("quick", epochs) for epochs in (6, 13, 22, 33)]
    slow = [option("slow", epochs, TIMING.slower(2), better) for epochs in (5, 13, 22)]
    for options in (quick + slow, slow + quick):
        assert chosen(options, 3600, 2)[0] == "slow"
        assert chosen(options, 240, 2)[0] == "quick"


def test_fits_are_as_long_as_pays() -> None:
    fold = fit_seconds(Fit(0, 33, 0), TIMING, SIZES)

    def length(minutes: float, curve: LearningCurve) -> int:
        return best_option([option("any", each, curve=curve) for each in (23, 28, 33)], budget(minutes, 2)).epochs

    learned = LearningCurve.of({23: 0.9960})
    assert length(10 * fold, CURVE) == 33
    # in parallel with one long refit there is time for a fold, and for nothing after it unless it is shorter
    assert length(1.75 * fold, CURVE) == 33
    assert length(1.75 * fold, learned) < 33, "another member is worth more than epochs that gain nothing"


def test_without_any_time_the_first_fold_is_fitted_all_the_same() -> None:
    name, goal = chosen(ALL, 1, 2)
    assert (name, goal.folds) == ("quick", 1)
    assert [each.fit.fold for each in simulate(goal, [], TIMING, SIZES, 1, 2)] == [0]


def test_the_first_fold_is_fitted_though_others_have_used_up_the_time() -> None:
    """As where a command was killed between the end of a fit on all images and that of the fold beside it."""
    goal = Goal(folds=1, epochs=13, seed=0, refits=5)
    assert next_fit(goal, [Fit(None, 9, 1)], TIMING, SIZES, 1) == Fit(0, 13, 0)
    assert next_fit(goal, [Fit(None, 9, 1), Fit(0, 13, 0)], TIMING, SIZES, 1) is None
    assert next_fit(replace(goal, required=False), [Fit(None, 9, 1)], TIMING, SIZES, 1) is None


def test_a_fold_that_cannot_end_in_time_gives_way_to_what_can() -> None:
    goal = Goal(folds=3, epochs=22, seed=0, refits=1000)
    assert next_fit(goal, [Fit(0, 22, 0)], TIMING, SIZES, 100) is None
    half = fit_seconds(Fit(None, 14, 1), TIMING, SIZES)
    found = next_fit(goal, [Fit(0, 22, 0), Fit(1, 22, 0), Fit(2, 22, 0)], TIMING, SIZES, half + 0.1)
    assert found == Fit(None, 14, 1)


def test_there_are_no_more_fits_on_all_images_than_are_wanted() -> None:
    goal = Goal(folds=2, epochs=6, seed=0, refits=3)
    schedule = simulate(goal, [], TIMING, SIZES, 7200, 2)
    assert [each.fit.fold for each in schedule] == [0, 1, None, None, None]


def test_fits_that_take_longer_to_start_than_to_learn_are_begun_all_the_same() -> None:
    goal = Goal(folds=1, epochs=2, seed=0, refits=5)
    for left in np.linspace(30, 600, 200):
        slow_to_start = Timing(start=20, per_image=1e-5, per_prediction=0)
        found = next_fit(goal, [goal.fold_fit(0)], slow_to_start, Sizes(10_000, 20_000, 10), left)
        assert found
        assert found.epochs in (2, 3)


def test_no_seed_is_used_twice_where_a_fit_is_missing_in_between() -> None:
    goal = Goal(folds=1, epochs=6, seed=42, refits=10)
    killed = [goal.fold_fit(0), Fit(None, 6, 44)]  # 43 was running beside it
    found = next_fit(goal, killed, TIMING, SIZES, 600)
    assert found
    assert found.seed == 45


@settings(deadline=None)
@example(left=64.0, workers=2, folds=2)
@example(left=380.91116462341546, workers=8, folds=10)  # the folds alone would take all workers to the end
@given(left=st.floats(1, 20_000), workers=st.integers(1, 8), folds=st.integers(2, 10))
def test_time_is_shared_out_whole_and_alike(left: float, workers: int, folds: int) -> None:
    shares = allocate(ALL, budget(left, workers, folds))
    assert [share.option for share in shares] == ALL[: len(shares)]
    assert sum(share.seconds for share in shares) == pytest.approx(left)
    [fitted] = {share.goal.folds for share in shares}
    assert 1 <= fitted <= folds
    assert len(shares) == 1 or fitted >= min(5, folds)
    assert [share.goal.required for share in shares] == [True] + [False] * (len(shares) - 1)
    for share in shares:
        schedule = simulate(share.goal, [], TIMING, SIZES, share.seconds, workers)
        late = [each.fit.fold for each in schedule if each.end > share.seconds + 1e-6]
        first = share.option.network == "quick"
        assert late == [] or (first and late == [0]), "the first fold alone is started without time for it"
        assert len(shares) == 1 or [each.fit.fold for each in schedule].count(None) >= 1


def test_a_further_network_is_left_out_where_its_folds_would_have_no_time() -> None:
    costly = [*ALL, option("huge", 22, TIMING.slower(10))]

    def taken(left: float) -> list[str]:
        return [share.option.network for share in allocate(costly, budget(left, 2))]

    assert taken(3000) == ["quick", "middle", "long"]
    assert taken(30_000) == ["quick", "middle", "long", "huge"]
    assert next_fit(Goal(folds=3, epochs=22, seed=0, refits=9, required=False), [], TIMING, SIZES, 100) is None


def test_a_drift_is_a_third_in_the_median_of_some_fits() -> None:
    assert drift([]) == drift([9.0]) == 1
    assert drift([1.3, 1.3]) == drift([0.76, 0.8]) == drift([1.0, 1.1, 9.0]) == 1
    assert drift([1.4, 1.5, 0.9]) == 1.4
    assert drift([0.5, 0.7]) == 0.6
