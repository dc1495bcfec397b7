"""Results of a study in lines and tables."""

import pytest

from digits.tuning.records import TrialRecord, furthest
from digits.tuning.report import saved_share
from toy_search import result


def test_the_saved_share_compares_with_one_full_fit_for_each_trial() -> None:
    def trial(*seconds: float) -> TrialRecord:
        fits = tuple(result(0.9, length, each) for length, each in zip((1, 4, 16), seconds, strict=False))
        return TrialRecord(0, "", {}, fits, (), len(seconds) == 3, False, "")

    assert saved_share([trial(1.0), trial(1.0), trial(1, 4, 16)]) == pytest.approx(1 - 23 / 48)


def test_finalists_are_those_that_went_furthest_then_the_best_of_these() -> None:
    def trial(number: int, *values: float, failed: bool = False) -> TrialRecord:
        fits = tuple(result(value, length) for length, value in zip((1, 4, 16), values, strict=False))
        return TrialRecord(number, "", {}, fits, (), len(values) == 3, failed, "")

    trials = [
        trial(0, 0.9),
        trial(1),
        trial(2, 0.5, 0.6, 0.7),
        trial(3, 0.95),
        trial(4, 0.6, 0.8),
        trial(5, 1.0, failed=True),
    ]
    assert [each.number for each in furthest(trials)] == [2, 4, 3, 0]
