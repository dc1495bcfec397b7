"""Candidates compared with the default."""

import pytest

from digits.tuning.verdict import CandidateFit, decide, gain


def test_the_gain_is_paired_and_leaves_the_searched_fold_out() -> None:
    accuracies = {CandidateFit(7, fold, "default"): 0.5 + 0.1 * fold for fold in range(4)}
    accuracies |= {CandidateFit(7, fold, "a"): 0.6 + 0.1 * fold + 0.01 * (fold - 2) for fold in range(1, 4)}
    accuracies[CandidateFit(7, 0, "a")] = 1.0  # as lucky as what was chosen there would be
    gained = gain(accuracies, "a", 0)
    assert gained is not None
    assert gained.mean == pytest.approx(0.1)
    assert gained.count == 3
    assert gained.high - gained.mean == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)  # Student's t, 2 degrees
    assert gain({fit: value for fit, value in accuracies.items() if fit.fold != 3}, "a", 0) is None


def test_a_default_that_could_not_be_fitted_is_no_gain() -> None:
    accuracies = {CandidateFit(7, fold, "default"): 0.0 for fold in range(5)} | {
        CandidateFit(7, fold, "a"): 0.99 for fold in range(5)
    }
    assert gain(accuracies, "a", 0) is None


def confirmed(gains: list[float]) -> dict[CandidateFit, float]:
    """The default and `a`, which is better by so much on each fold; and `b`, which could not be fitted."""
    folds = {CandidateFit(7, fold, "default"): 0.9 for fold in range(len(gains))}
    folds |= {CandidateFit(7, fold, "a"): 0.9 + gain for fold, gain in enumerate(gains)}
    return folds | {CandidateFit(7, fold, "b"): 0.0 for fold in range(len(gains))}


@pytest.mark.parametrize(
    ("gains", "winner", "text"),
    [
        (
            [0.5, 0.010, 0.011, 0.012],
            "a",
            "a gains +0.0110 (+0.0085 to +0.0135, n 3) in accuracy over the default: taken",
        ),
        (
            [0.5, -0.01, 0.00, 0.025],
            None,
            "a gains +0.0050 (-0.0398 to +0.0498, n 3) in accuracy over the default: not above noise, so "
            "the default stays",
        ),
        ([0.5, 0.01], None, "nothing was confirmed to be better: the default stays"),
    ],
)
def test_a_candidate_is_taken_whose_gain_lies_above_noise(gains: list[float], winner: str | None, text: str) -> None:
    verdict = decide(confirmed(gains), ["default", "a", "b"], 0)
    assert (verdict.winner, verdict.text) == (winner, text)


def test_without_a_candidate_the_default_stays() -> None:
    assert decide({}, ["default"], 0).winner is None
