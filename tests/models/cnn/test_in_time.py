"""Fits that end in time."""

from collections.abc import Iterator
from typing import Any

import pytest

from digits.models.cnn.in_time import in_time
from digits.models.cnn.optimization import make_schedule


class Machine:
    """On which each step takes so many seconds, and the first one more: the step is traced."""

    def __init__(self, step: float, tracing: float = 1.0):
        self.seconds, self.step, self.tracing = 0.0, step, tracing

    def steps(self, batches: Iterator[Any]) -> int:
        """Take a step with each batch; returns how many there were."""
        count = 0
        for count, _ in enumerate(batches, start=1):
            self.seconds += self.step + self.tracing * (count == 1)
        return count

    def clock(self) -> float:
        return self.seconds


@pytest.mark.parametrize("step", [0.003, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("expected", [0.5, 1.0, 3.0])
def test_it_ends_in_time_and_at_the_end_of_the_schedule_however_fast_the_machine_is(
    step: float, expected: float
) -> None:
    """expected: steps, as a multiple of those that there will be."""
    machine, seconds = Machine(step), 8.0
    steps = round(expected * seconds / step)
    schedule = make_schedule({"kind": "one-cycle", "warmup": 0.25}, 0.1, steps)
    taken = machine.steps(in_time(range(10**6), 8, seconds, schedule, lambda: None, machine.clock))
    assert machine.seconds == pytest.approx(seconds, abs=2 * step)
    assert float(schedule(taken)) == pytest.approx(0.0, abs=1e-4)
    rates = [float(schedule(at)) for at in range(0, taken, max(1, taken // 20))]
    if expected >= 1:
        assert max(rates) == pytest.approx(0.1, rel=0.1), "the rate has risen to its peak"


@pytest.mark.parametrize("later", [0.6, 0.9, 1.2, 1.6])
def test_it_ends_in_time_where_the_first_steps_are_no_measure_of_the_others(later: float) -> None:
    """later: seconds of each step after the first second, as a multiple of those before it."""
    machine, seconds = Machine(0.01), 60.0
    schedule, rates = make_schedule({"kind": "one-cycle", "warmup": 0.25}, 0.1, 6000), list[float]()

    def steps() -> Iterator[int]:
        for at in in_time(range(10**6), 8, seconds, schedule, lambda: None, machine.clock):
            machine.step = 0.01 * (later if machine.seconds > 2.0 else 1.0)
            if not at % 20:
                rates.append(float(schedule(at)))
            yield at

    taken = machine.steps(steps())
    assert machine.seconds == pytest.approx(seconds, abs=0.1)
    assert float(schedule(taken)) == pytest.approx(0.0, abs=1e-4)
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    peak = rates.index(max(rates))
    assert rates == [*sorted(rates[:peak]), *sorted(rates[peak:], reverse=True)], "up once, then down"


def test_a_fit_for_which_there_is_no_time_has_the_steps_that_show_so() -> None:
    machine = Machine(1.0)
    assert machine.steps(in_time(range(100), 4, 2.0, 0.1, lambda: None, machine.clock)) == 9


def test_batches_that_end_before_are_all_taken() -> None:
    for count in (0, 3, 20):
        machine = Machine(0.001)
        assert machine.steps(in_time(range(count), 8, 60.0, 0.1, lambda: None, machine.clock)) == count


def test_it_waits_for_the_steps_before_it_looks_at_the_clock() -> None:
    """As on a GPU, where a step returns before it is done."""
    machine, waited, taken = Machine(0.01, 0.0), 0, 0

    def wait() -> None:
        nonlocal waited
        waited += 1
        machine.seconds += 0.04 * (taken - done[-1])
        done.append(taken)

    done = [0]
    for taken, _ in enumerate(in_time(range(10**5), 10, 100.0, 0.1, wait, machine.clock), start=1):
        machine.seconds += 0.01
        if not taken % 20:  # as the loop does, to look at the losses
            machine.seconds += 0.04 * (taken - done[-1])
            done.append(taken)
    assert taken == pytest.approx(2000, rel=0.02)
    assert waited < 15, "few, because they make the GPU idle"
