"""The confirmation: which fits are made, and what an interruption or another machine changes."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from digits.common.processes import ProcessDiedError
from digits.tuning.confirmation import (
    confirm,
    confirmed_accuracies,
    confirmed_epochs,
    in_judgement,
    missing_fits,
    open_confirmation,
    settled,
)
from digits.tuning.storage import open_storage
from digits.tuning.verdict import CandidateFit, leader
from toy_search import Evaluation, make_older, plan, result, run_search

pytestmark = pytest.mark.slow

CANDIDATES = ["default", "a", "b"]


def test_the_leader_is_picked_on_the_search_fold_and_judged_on_the_others_from_further_seeds() -> None:
    accuracies: dict[CandidateFit, float] = {}
    picking = missing_fits(accuracies, CANDIDATES, [7, 8, 9], [0, 1, 2])
    assert picking == [CandidateFit(7, 0, candidate) for candidate in CANDIDATES]
    accuracies |= {fit: {"default": 0.5, "a": 0.6, "b": 0.7}[fit.candidate] for fit in picking}
    assert leader(accuracies, CANDIDATES) == "b"
    for seed in (8, 9):
        judging = missing_fits(accuracies, CANDIDATES, [7, 8, 9], [0, 1, 2])
        assert judging == [CandidateFit(seed, fold, candidate) for fold in (1, 2) for candidate in ("default", "b")]
        accuracies |= {fit: {"default": 0.5, "b": 0.6}[fit.candidate] for fit in judging}
    assert missing_fits(accuracies, CANDIDATES, [7, 8, 9], [0, 1, 2]) == []


PICKED = {CandidateFit(7, 0, "default"): 0.5, CandidateFit(7, 0, "a"): 0.6}


def test_no_further_seeds_for_what_is_not_ahead_of_the_default() -> None:
    judging = missing_fits(PICKED, CANDIDATES[:2], [7, 8, 9], [0, 1, 2])
    assert judging == [CandidateFit(8, fold, candidate) for fold in (1, 2) for candidate in ("default", "a")]
    behind = PICKED | dict.fromkeys(judging, 0.7)
    assert missing_fits(behind, CANDIDATES[:2], [7, 8, 9], [0, 1, 2]) == []


def test_who_is_not_ahead_on_the_search_fold_is_not_judged() -> None:
    behind = dict.fromkeys(PICKED, 0.5)
    assert missing_fits(behind, CANDIDATES[:2], [7, 8, 9], [0, 1, 2]) == []
    assert settled(behind, "default", [7, 8, 9], [0, 1, 2]) == {"a"}


def test_a_candidate_is_settled_once_nothing_more_is_fitted_for_it() -> None:
    """What was picked, or judged on some folds only, is not."""
    seeds, folds = [7, 8], [0, 1, 2]
    accuracies = PICKED | {CandidateFit(7, 0, "b"): 0.7}
    assert settled(accuracies, "default", seeds, folds) == set()
    for fit in missing_fits(accuracies, CANDIDATES[:2], seeds, folds):
        assert settled(accuracies, "default", seeds, folds) == set()
        accuracies[fit] = 0.5
    assert settled(accuracies, "default", seeds, folds) == {"a"}


def test_a_leader_is_in_judgement_from_its_choice_to_its_last_fit_whoever_else_is_settled() -> None:
    """So a search whose time ends meanwhile says that more minutes go on, and not that nothing was found."""
    seeds, folds = [7, 8], [0, 1, 2]
    accuracies = PICKED | {CandidateFit(7, 0, "b"): 0.5}  # no better than the default
    assert settled(accuracies, "default", seeds, folds) == {"b"}
    for fit in missing_fits(accuracies, CANDIDATES, seeds, folds):
        assert in_judgement(accuracies, "default", seeds, folds) == {"a"}
        accuracies[fit] = 0.5
    assert in_judgement(accuracies, "default", seeds, folds) == set()
    assert in_judgement(dict.fromkeys(PICKED, 0.5), "default", seeds, folds) == set(), "nothing is ahead"


def test_no_worker_is_idle_while_fits_are_left_that_will_be_needed(tmp_path: Path) -> None:
    """Three fits pick a leader: a second worker makes a fit of the default meanwhile that judges any leader."""
    together, made = threading.Barrier(2, timeout=60), list[CandidateFit]()  # seconds

    def fit(overrides: dict[str, Any], seed: int, fold: int) -> dict[str, Any]:
        made.append(CandidateFit(seed, fold, overrides["name"]))
        together.wait()
        return result({"default": 0.5, "a": 0.6, "b": 0.7}[overrides["name"]], 16)

    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    overrides = {name: {"name": name} for name in CANDIDATES}

    def seconds_left() -> float:
        return 1e6 if len(made) < 8 else 0.0

    confirm(study, overrides, [7, 8, 9], [0, 1, 2], fit, seconds_left, 2, lambda *_: None, 1.0)
    assert set(made[:4]) == {CandidateFit(7, 0, name) for name in CANDIDATES} | {CandidateFit(8, 1, "default")}
    judging = {CandidateFit(8, fold, name) for fold in (1, 2) for name in ("default", "b")}
    assert set(made[4:]) == judging - set(made[:4]) | {CandidateFit(9, 1, "default")}
    assert len(made) == len(confirmed_accuracies(study)) == 8


def test_a_confirmation_goes_on_where_it_was_and_drops_what_dies(tmp_path: Path) -> None:
    fits: list[CandidateFit] = []

    def fit(overrides: dict[str, Any], seed: int, fold: int) -> dict[str, Any]:
        fits.append(CandidateFit(seed, fold, overrides["name"]))
        if overrides["name"] == "b":
            raise ProcessDiedError("no memory")
        if len(fits) == 4:
            raise KeyboardInterrupt
        return result(0.95 if overrides["name"] == "a" else 0.9, 16)

    overrides = {name: {"name": name} for name in CANDIDATES}

    def again() -> dict[CandidateFit, float]:
        study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
        confirm(study, overrides, [7, 8, 9], [0, 1, 2], fit, lambda: 1e6, 1, lambda *_: None, 1.0)
        return confirmed_accuracies(study)

    with pytest.raises(KeyboardInterrupt):
        again()
    accuracies = again()
    assert {fit.candidate for fit, value in accuracies.items() if value == 0} == {"b"}
    assert sum(fit.candidate == "default" for fit in accuracies) == 5  # the search fold, and two folds from two seeds
    assert max(Counter(fits).values()) == 2
    assert sum(Counter(fits).values()) == len(accuracies) + 1
    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    assert confirmed_epochs(study, "a") == 1


def test_a_confirmation_forgets_former_finalists_and_shares_its_queue(tmp_path: Path) -> None:
    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    for fit_of in ([7, 1, "former"], [7, 1, "default"]):
        study.enqueue_trial({}, user_attrs={"fit": json.dumps(fit_of)})
    fitted: list[str] = []

    def fit(overrides: dict[str, Any], seed: int, fold: int) -> dict[str, Any]:
        fitted.append(overrides["name"])
        if len(fitted) == 1:  # another machine takes what waits here
            while any(trial.state == TrialState.WAITING for trial in study.trials):
                taken = study.ask()
                if json.loads(taken.user_attrs["fit"])[2] == "former":
                    study.tell(taken, state=TrialState.PRUNED)
                else:
                    study.tell(taken, 0.9)
        return result(0.95 if overrides["name"] == "a" else 0.9, 16)

    confirm(
        study,
        {name: {"name": name} for name in CANDIDATES[:2]},
        [6, 7],
        [0, 1, 2],
        fit,
        lambda: 1e6,
        1,
        lambda *_: None,
        1.0,
    )
    judging = {CandidateFit(7, fold, name) for fold in (1, 2) for name in CANDIDATES[:2]}
    assert set(confirmed_accuracies(study)) == judging | {CandidateFit(6, 0, name) for name in CANDIDATES[:2]}
    assert set(fitted) <= {"default", "a"}
    again = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    assert not [trial for trial in again.trials if trial.state == TrialState.WAITING]


def test_a_fit_that_was_never_begun_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command was killed after it had claimed it, or the claim's answer was lost and it was claimed again."""
    monkeypatch.setattr("digits.tuning.confirmation._PAUSE", 0.0)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = open_confirmation(open_storage(url), "test")
    study.enqueue_trial({}, user_attrs={"fit": json.dumps([7, 1, "default"])})
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask()
    make_older(url, "trials.datetime_start", 1)
    left = iter([1e6] * 100)
    candidates: dict[str, Any] = {"default": {}, "a": {}}
    confirm(
        study,
        candidates,
        [6, 7],
        [0, 1, 2],
        lambda *_: result(0.9, 16),
        lambda: next(left, 0.0),
        1,
        lambda *_: None,
        1.0,
    )
    assert missing_fits(confirmed_accuracies(study), [*candidates], [6, 7], [0, 1, 2]) == []


def test_what_the_end_of_the_time_cuts_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    left = [10.0]

    def dies(*_: Any) -> Any:
        left[0] = 0.0
        raise ProcessDiedError("took longer than 1 s")

    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    candidates: dict[str, Any] = {"default": {}, "a": {}}
    confirm(study, candidates, [6, 7], [0, 1, 2], dies, lambda: left[0], 1, lambda *_: None, 1.0)
    assert confirmed_accuracies(study) == {}
    confirm(study, candidates, [6, 7], [0, 1, 2], lambda *_: result(0.9, 16), lambda: 1e6, 1, lambda *_: None, 1.0)
    assert confirmed_accuracies(study) == {CandidateFit(6, 0, name): 0.9 for name in candidates}
    left[0] = 10.0
    (tmp_path / "search").mkdir()
    assert run_search(tmp_path / "search", dies, plan(n_trials=None), seconds_left=lambda: left[0]) == []
    evaluate = Evaluation()
    again = run_search(tmp_path / "search", evaluate, plan(n_trials=2))
    assert "default" in {trial.name for trial in again}
    assert evaluate.evaluated


def test_no_time_is_enough_for_a_fit_that_is_expected_to_take_longer(tmp_path: Path) -> None:
    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    candidates: dict[str, Any] = {"default": {}, "a": {}}
    confirm(
        study,
        candidates,
        [6, 7],
        [0, 1],
        lambda *_: pytest.fail("a fit was begun"),
        lambda: 9.0,
        1,
        lambda *_: None,
        10.0,
    )
