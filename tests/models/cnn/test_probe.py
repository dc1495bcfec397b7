"""The probe of this machine's speed. What follows from it is tested in tests/training/test_probing.py."""

from typing import Any

import pytest

from digits.models.cnn import loop, probe

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("fits", "threads", "others"), [(1, 1, 1.0), (2, 1, 0.5), (1, 2, 0.5)])
def test_other_programs_take_nothing_from_the_speed_of_one_thread(
    fits: int, threads: int, others: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By clocks of the test's own: a step takes 1/64 s of a processor that other programs have for half of the time."""
    steps = 0

    def counted(*arguments: Any) -> Any:
        step = loop.compiled_step(*arguments)

        def taken(*batch: Any) -> Any:
            nonlocal steps
            steps += 1
            return step(*batch)

        return taken

    monkeypatch.setattr(probe, "compiled_step", counted)
    monkeypatch.setattr(probe, "set_threads", lambda _: None)
    monkeypatch.setattr(probe, "process_time", lambda: steps / 64)
    monkeypatch.setattr(probe, "perf_counter", lambda: steps / 32)
    monkeypatch.setattr(probe, "_SECONDS", 0.25)
    seen, images_per_second = probe.prepare(fits, threads, "float32", 16)
    assert seen["memory"] > 100
    assert steps == 2, "one that traces, and one to know how many to take at a time"
    assert images_per_second() == 16 * 64 * others
    assert steps == 2 + 8
    monkeypatch.setattr(probe, "_SECONDS", 0.0)
    assert images_per_second() == 16 * 64 * others, "a step that takes longer is a sample"
