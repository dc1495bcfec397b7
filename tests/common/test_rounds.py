"""The right candidate is taken on a machine whose speed a neighbour halves now and then."""

from collections.abc import Sequence
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.common.rounds import choice, interval

PRECISIONS, BATCH_SIZES = 0.9, 0.5  # what is enough, as in training.probing


class Shared:
    """A machine whose neighbour halves its speed for stretches of 0.2 to 5 s; each sample is off by 3 % besides."""

    def __init__(self, seed: int):
        self.random, self.now, self.next_change, self.busy = Random(seed), 0.0, 0.0, False
        self.busy = self.random.random() < 0.5

    def sample(self, speed: float, seconds: float = 0.15) -> float:
        """The speed that is measured in some seconds, where nothing else would run at `speed`."""
        end, done = self.now + seconds, 0.0
        while self.now < end:
            if self.now >= self.next_change:
                self.next_change, self.busy = self.now + self.random.uniform(0.2, 5), not self.busy
            until = min(end, self.next_change)
            done += (until - self.now) * speed * (0.5 if self.busy else 1)
            self.now = until
        return done / seconds * self.random.gauss(1, 0.03)

    def chosen(self, speeds: Sequence[float], enough: float, seconds: float = 6.0) -> tuple[int, bool, float]:
        """As training.probing chooses; and the seconds that it took."""
        rounds: list[list[float]] = []
        while not rounds or (self.now < seconds and not choice(rounds, enough)[1]):
            rounds.append([self.sample(speed) for speed in speeds])
        return *choice(rounds, enough), self.now


@pytest.mark.parametrize("faster", [0, 1])
def test_the_faster_precision_is_taken_beside_a_neighbour(faster: int) -> None:
    speeds = [1.7, 1.0] if faster == 0 else [1.0, 1.7]
    found = [Shared(seed).chosen(speeds, PRECISIONS) for seed in range(1000)]
    assert sum(index == faster for index, *_ in found) >= 990
    assert sum(sure and index != faster for index, sure, _ in found) <= 1, "sure, and wrong"
    assert max(seconds for *_, seconds in found) < 7
    assert median(seconds for *_, seconds in found) < 3


def test_one_block_of_samples_after_the_other_does_not_tell() -> None:
    """What was done before, half a second each: so the simulation is hard enough to mean something."""
    wrong = 0
    for seed in range(1000):
        machine = Shared(seed)
        slow, fast = (median(machine.sample(speed, 0.1) for _ in range(5)) for speed in (1.0, 1.7))
        wrong += slow > fast
    assert wrong > 20


def test_the_smallest_batch_is_taken_that_is_fast_enough_and_else_a_larger_one() -> None:
    for speeds, right in (((3, 3.2, 3.3), 0), ((1.4, 2.9, 3), 1), ((1.2, 1.45, 3.2), 2)):
        found = [Shared(seed).chosen(speeds, BATCH_SIZES)[0] for seed in range(300)]
        assert sum(index == right for index in found) >= 290, speeds


def test_a_precision_that_gains_next_to_nothing_is_not_taken() -> None:
    found = [Shared(seed).chosen([1.0, 1.02], PRECISIONS)[:2] for seed in range(300)]
    assert sum(index == 0 for index, _ in found) >= 290
    assert not any(sure and index for index, sure in found)


def test_few_rounds_leave_a_doubt() -> None:
    assert choice([[1.0, 5.0]] * 5, 0.9) == (1, False)
    assert choice([[1.0, 5.0]] * 6, 0.9) == (1, True)
    assert choice([[5.0, 1.0]] * 6, 0.9) == (0, True)
    assert choice([[16.0, 1.0]], 0.9) == (0, True), "bfloat16 where it is emulated, whose steps take seconds"
    assert choice([[1.0, 1.0], [1.0, 5.0], [5.0, 1.0]] * 5, 0.9) == (0, False)


def test_a_circle_of_candidates_has_a_fastest_one() -> None:
    circle = [[1.0, 2.0, 4.0], [4.0, 1.0, 3.0], [2.0, 4.1, 1.0]]  # each is beaten by the next in two of three
    assert choice(circle, 0.9) == (2, False)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    low, high = interval(values)
    assert low <= median(values) <= high
    assert (low < min(values) and max(values) < high) == (len(values) < 6)


def test_the_interval_contains_the_true_median_as_often_as_it_says() -> None:
    random = Random(0)
    inside = 0
    for _ in range(2000):
        low, high = interval([random.expovariate(1) for _ in range(15)])
        inside += low <= 0.6931 <= high
    assert inside >= 0.94 * 2000
