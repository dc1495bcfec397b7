"""One temperature: it finds what was done to probabilities, and never changes which class is the likeliest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from digits.evaluation.calibration import at_temperature, best_temperature
from digits.evaluation.metrics import log_loss


def drawn(count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of five classes, and labels drawn with exactly these probabilities."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.3] * 5, count)
    labels = (probabilities.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1).clip(0, 4)
    return probabilities, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_it_takes_back_what_was_done(temperature: float) -> None:
    probabilities, labels = drawn()
    shown = at_temperature(probabilities, temperature)
    found = best_temperature(shown, labels)
    assert found == pytest.approx(1 / temperature, rel=0.03)
    assert np.allclose(at_temperature(shown, 1 / temperature), probabilities, atol=1e-3)
    assert log_loss(at_temperature(shown, found), labels) <= log_loss(shown, labels) + 1e-9


def test_no_error_in_n_images_is_not_taken_for_none_ever() -> None:
    """What is never wrong is made as sure as one error in n + 2 images allows, and what always is, unsure."""
    for count in (8, 98, 998):
        sure = np.tile([[0.7, 0.3], [0.3, 0.7]], (count // 2, 1))
        right = np.tile([0, 1], count // 2)
        assert at_temperature(sure, best_temperature(sure, right)).max() == pytest.approx(1 - 1 / (count + 2), abs=1e-4)
        assert best_temperature(sure, 1 - right) == pytest.approx(10, rel=0.01)


@settings(deadline=None)
@given(arrays(np.float32, (6, 4), elements=st.floats(0, 1, width=32)), st.floats(0.1, 10))
def test_the_likeliest_class_stays(weights: np.ndarray, temperature: float) -> None:
    weights[:, 0] += np.float32(0.01)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    scaled = at_temperature(probabilities, temperature)
    assert np.isfinite(scaled).all()
    assert np.allclose(scaled.sum(axis=1), 1, atol=1e-5)
    rows = np.arange(len(scaled))
    assert np.allclose(scaled[rows, probabilities.argmax(axis=1)], scaled.max(axis=1))
