"""The probe of this machine's speed. What is kept of it is tested in tests/training/test_device.py."""

from typing import Any

import pytest

from digits.models.cnn import loop, probe

pytestmark = pytest.mark.slow


def test_a_slow_precision_is_timed_by_a_single_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own: a step of 16 images takes 1/64 s."""
    steps = 0

    def counted(*arguments: Any) -> Any:
        step = loop.compiled_step(*arguments)

        def taken(*batch: Any) -> Any:
            nonlocal steps
            steps += 1
            return step(*batch)

        return taken

    monkeypatch.setattr(probe, "compiled_step", counted)
    monkeypatch.setattr(probe, "perf_counter", lambda: steps / 64)
    assert probe._images_per_second("float32", 16, enough=1025) == 1024
    assert steps == 2  # one that traces, and one
    assert probe._images_per_second("float32", 16, enough=1024) == 1024
    assert steps == 2 + 2 + 5 * 6  # five repeats of a tenth of a second
