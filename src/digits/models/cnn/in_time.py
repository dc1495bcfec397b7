"""A fit that ends in time: how many steps it takes follows from its speed."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from digits.models.cnn.optimization import Course

_MEASURED = 0.4  # least seconds of steps that the speed is computed from
MOST = 4  # times the images expected that a fit may train on


def in_time(
    batches: Iterable[Any],
    chunk: int,
    seconds: float,
    schedule: Any,
    wait: Callable[[], Any],
    clock: Callable[[], float],
) -> Iterator[Any]:
    """The first of `batches`, as many as can be trained on until `clock` shows `seconds`; the last one at the end.

    How many follows from the speed so far, again each time that half of the seconds left have passed: the speed of a
    first second may differ by a third from that of a minute. chunk: batches that are made together; the first ones are
    not measured, because the step is traced then. schedule: of the learning rate; it is compressed or stretched so that
    it ends with the last batch. wait: returns when all steps so far are done.
    """
    batches = iter(batches)
    yield from islice(batches, chunk)
    wait()
    begun = clock()
    look, last = begun + _MEASURED, None
    for done, batch in enumerate(batches, start=1):
        yield batch
        if done == last:
            return
        if not done % chunk and clock() >= min(look, seconds):
            wait()
            now = clock()
            left = max(1, round((seconds - now) / (now - begun) * done))
            look, last = (now + seconds) / 2, done + left
            if isinstance(schedule, Course):
                schedule.end_at(chunk + last, chunk + done)
