"""Confidence is compared with accuracy, bin by bin."""

import numpy as np
import pytest

from digits.evaluation.reliability import reliability


def test_the_calibration_error_is_the_distance_between_confidence_and_accuracy() -> None:
    labels = np.zeros(1000, np.int64)
    sure = np.tile([0.9, 0.1], (1000, 1))
    sure[:100] = [0.1, 0.9]  # a tenth is wrong, as a confidence of 0.9 says
    result = reliability(sure, labels)
    assert result.ece == pytest.approx(0.18)
    assert result.count.sum() == 1000
    mixed = reliability(np.random.default_rng(0).permutation(sure), labels)
    assert mixed.ece < 0.05
    assert mixed.confidence == pytest.approx(np.full(10, 0.9))
    assert reliability(np.eye(2)[labels], labels).ece == 0
