"""A fit that ends in time: how many steps it takes follows from the speed of its first ones."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter, process_time
from typing import Any

from digits.models.cnn.optimization import Course

_MEASURED = 0.4  # least seconds of steps that the speed is computed from
MOST = 4  # times the images expected that a fit may train on


def stopwatch(processor: bool) -> Callable[[], float]:
    """Tells the seconds from now on. processor: those of this process alone, where other programs took the rest."""
    clocks = (perf_counter, process_time) if processor else (perf_counter,)
    started = [clock() for clock in clocks]
    return lambda: min(clock() - start for clock, start in zip(clocks, started, strict=True))


def in_time(
    batches: Iterable[Any],
    chunk: int,
    seconds: float,
    schedule: Any,
    wait: Callable[[], Any],
    clock: Callable[[], float],
) -> Iterator[Any]:
    """The first of `batches`, as many as can be trained on until `clock` shows `seconds`; the last one at the end.

    chunk: batches that are made together; the first ones are not measured, because the step is traced then. schedule:
    of the learning rate; it is compressed or stretched so that it ends with the last batch. wait: returns when all
    steps so far are done.
    """
    batches = iter(batches)
    yield from islice(batches, chunk)
    wait()
    begun = clock()
    for done, batch in enumerate(batches):
        if done and not done % chunk:
            wait()
            if (measured := clock()) - begun >= _MEASURED or measured >= seconds:
                left = max(1, round((seconds - measured) / (measured - begun) * done))
                if isinstance(schedule, Course):
                    schedule.end_at(chunk + done + left, chunk + done)
                yield batch
                yield from islice(batches, left - 1)
                return
        yield batch
