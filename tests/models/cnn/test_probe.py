"""The probe of this machine's speed. What follows from it is tested in tests/training/test_probing.py."""

from typing import Any

import joblib
import pytest

from digits.models.cnn import loop, probe
from digits.models.cnn.libraries import tf

pytestmark = pytest.mark.slow


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_processor_is_seen_as_one() -> None:
    """With nothing that is known of cards alone, so that all choices are those for a processor."""
    assert probe.look() == {"gpus": 0, "device": "CPU"}


@pytest.mark.parametrize(("precision", "jit_compile"), [("mixed_float16", False), ("float32", True)])
def test_what_is_tried_on_a_gpu_runs(precision: str, jit_compile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its way, on a processor."""
    monkeypatch.setattr(probe, "_SECONDS", 0.0)
    _, images_per_second = probe.prepare(1, joblib.cpu_count(), precision, 8, jit_compile)
    assert images_per_second() > 1


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
    taken, images_per_second = probe.prepare(fits, threads, "float32", 16, False)
    assert taken["memory"] > 100
    assert steps == 2, "one that traces, and one to know how many to take at a time"
    assert images_per_second() == 16 * 64 * others
    assert steps == 2 + 8
    monkeypatch.setattr(probe, "_SECONDS", 0.0)
    assert images_per_second() == 16 * 64 * others, "a step that takes longer is a sample"
