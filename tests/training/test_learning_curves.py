"""Errors between, below and above what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.training.learning_curves import LearningCurve, blended

MEASURED = 25_200  # images
ACCURACIES = st.dictionaries(st.integers(1, 200), st.floats(0.5, 0.9999), min_size=1, max_size=6)


@given(accuracies=ACCURACIES, epochs=st.floats(0.1, 300), more=st.floats(1, 5), images=st.integers(100, 100_000))
def test_more_epochs_and_more_images_are_never_worse(
    accuracies: dict[int, float], epochs: float, more: float, images: int
) -> None:
    curve = LearningCurve.of(accuracies)
    assert curve.measured_error(epochs * more) <= curve.measured_error(epochs) * (1 + 1e-9)
    assert curve.error(epochs, round(images * more)) <= curve.error(epochs, images) * (1 + 1e-9)


@given(accuracies=ACCURACIES)
def test_what_was_measured_is_what_is_expected(accuracies: dict[int, float]) -> None:
    """Unless a shorter fit was more accurate, by chance."""
    curve, best = LearningCurve.of(accuracies), 0.0
    for epochs in sorted(accuracies):
        best = max(best, accuracies[epochs])
        assert curve.error(epochs, MEASURED) == pytest.approx(1 - best)
    assert curve.measured_error(1000) == pytest.approx(1 - best)


def test_a_power_law_is_followed_between_two_lengths() -> None:
    curve = LearningCurve.of({4: 0.99, 16: 0.995})  # half of the errors in four times the epochs
    assert curve.measured_error(8) == pytest.approx(0.01 / 2**0.5)


def test_a_blend_is_better_than_its_members_and_more_members_are_better() -> None:
    assert blended([0.005]) == 0.005
    sizes = [blended([0.004, 0.006] * count) for count in (1, 2, 8)]
    assert 0.005 > sizes[0] > sizes[1] > sizes[2] > 0.004
