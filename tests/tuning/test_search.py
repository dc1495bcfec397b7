"""The search: which trials come first, which are promoted, and when it ends."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.tuning.study import Known
from toy_search import NAMED, Evaluation, known, opened, plan, result, run_search

pytestmark = pytest.mark.slow


def test_what_was_stopped_is_run_again(tmp_path: Path) -> None:
    left = [10.0]

    def stopped(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        report(result(0.9, 0))
        left[0] = 0.0
        raise ProcessStoppedError("was stopped")

    assert run_search(tmp_path, stopped, plan(n_trials=None), seconds_left=lambda: left[0]) == []
    evaluate = Evaluation()
    names = [trial.name for trial in run_search(tmp_path, evaluate, plan(n_trials=4))]
    assert names.count("default") == 1
    assert evaluate.evaluated.count(NAMED["default"]) == 1


def test_the_default_and_the_named_come_first(tmp_path: Path) -> None:
    evaluate = Evaluation()
    trials = run_search(tmp_path, evaluate, plan())
    assert evaluate.evaluated[:2] == [*NAMED.values()]
    assert [trial.name for trial in trials[:3]] == ["default", "wide", ""]
    assert len(trials) == len(evaluate.evaluated) == 20


def test_a_known_model_that_is_a_point_of_the_space_is_tried_as_it_is_named_and_learned_from(tmp_path: Path) -> None:
    values = {
        "deskew": False, "components": 0, "hidden_layers": 1, "width_1": 64, "activation": "tanh", "solver": "adam",
        "alpha": 1e-3, "learning_rate": 0.004, "batch_size": 64,
    }  # fmt: skip
    named = plan(n_trials=2, known={"default": Known({"alpha": 1e-3}, values), "deep": Known({"max_iter": 3}, {})})
    evaluate = Evaluation()
    run_search(tmp_path, evaluate, named)
    assert evaluate.evaluated == [{"alpha": 1e-3}, {"max_iter": 3}]
    study = opened(f"sqlite:///{tmp_path / 'study.db'}", named)
    assert [trial.params for trial in study.trials] == [values, {}]


def test_one_in_four_is_promoted(tmp_path: Path) -> None:
    """Trials that get worse and worse are pruned after their first fit; each that is the best so far is promoted."""
    worse = iter(range(1000))
    trials = run_search(tmp_path, Evaluation(lambda _: 0.9 - 0.001 * next(worse) // 1), plan(known={}, n_trials=12))
    assert trials[0].full
    ranks = [0.5, 0.9, 0.4, 0.3, 0.8, 0.2, 0.1, 0.7, 0.6, 0.95]
    values = iter(ranks)
    known: dict[str, float] = {}
    (tmp_path / "mixed").mkdir()

    def fixed(overrides: dict[str, Any]) -> float:
        return known.setdefault(str(overrides), next(values) if str(overrides) not in known else 0.0)

    mixed = run_search(tmp_path / "mixed", Evaluation(fixed), plan(known={}, n_trials=10))
    promoted = [len(trial.results) > 1 for trial in mixed]
    # best so far while there are fewer than eight, then among the best quarter of all
    assert promoted == [True, True, False, False, False, False, False, False, False, True]
    assert all(trial.full == (len(trial.results) == 3) for trial in mixed)


def test_the_default_has_fits_of_all_lengths(tmp_path: Path) -> None:
    """Also if it is worse than one that has ended before, so that finalists can be compared with it."""
    ended, by_formula = Event(), Evaluation(lambda overrides: 0.9 if overrides else 0.1)

    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        assert overrides or ended.wait(60)
        by_formula(overrides, report)
        if overrides:
            ended.set()

    [default, wide] = run_search(tmp_path, evaluate, plan(n_trials=2), workers=2)
    assert (default.name, default.full) == ("default", True)
    assert not wide.full, "it is compared with none as long as the default runs"


def test_what_dies_is_recorded_with_its_cause_and_the_search_goes_on(tmp_path: Path) -> None:
    calls = iter(range(100))

    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        if next(calls) % 3 == 1:
            raise ProcessDiedError("the loss became nan")
        report(result(0.5, 0))

    trials = run_search(tmp_path, evaluate, plan(n_trials=9))
    failed = [trial for trial in trials if trial.failed]
    assert len(trials) == 9
    assert len(failed) == 3
    assert {trial.cause for trial in failed} == {"the loss became nan"}


def test_five_deaths_in_a_row_end_the_search(tmp_path: Path) -> None:
    calls = iter(range(100))

    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        if next(calls) != 4:
            raise ProcessDiedError("no memory")
        report(result(0.5, 0))

    with pytest.raises(UserError, match="5 trials in a row failed, the last one with: no memory;"):
        run_search(tmp_path, evaluate, plan(n_trials=None))
    assert next(calls) == 10  # four, one that lives, five


def test_what_is_no_model_has_a_cause_and_is_no_failure(tmp_path: Path) -> None:
    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        raise ValueError("nothing is left of the image")

    trials = run_search(tmp_path, evaluate, plan(n_trials=8))
    assert len(trials) == 8
    assert not any(trial.failed for trial in trials)
    assert {trial.cause for trial in trials} == {"nothing is left of the image"}


def test_the_same_parameters_are_not_run_twice(tmp_path: Path) -> None:
    frozen = {
        "deskew": False, "components": 0, "hidden_layers": 1, "width_1": 64, "activation": "relu", "solver": "adam",
        "alpha": 1e-4, "learning_rate": 1e-3, "batch_size": 64,
    }  # fmt: skip
    evaluate = Evaluation()
    trials = run_search(tmp_path, evaluate, plan(frozen, n_trials=6))
    assert len(evaluate.evaluated) == 3  # the default, the named one, and the only one that can be drawn
    assert len(trials) == 3


def test_no_trial_starts_that_cannot_finish_its_first_fit(tmp_path: Path) -> None:
    clock = iter([10.0] * 8 + [0.9] * 100)  # a first fit takes 1.0
    evaluate = Evaluation(lambda _: 0.5)
    run_search(tmp_path, evaluate, plan(n_trials=None), seconds_left=lambda: next(clock))
    evaluated = len(evaluate.evaluated)
    assert 0 < evaluated < 8
    run_search(tmp_path, evaluate, plan(n_trials=None), seconds_left=lambda: 0.9)
    assert len(evaluate.evaluated) == evaluated


def test_a_longer_fit_is_not_begun_without_the_time_for_it(tmp_path: Path) -> None:
    trials = run_search(tmp_path, Evaluation(), plan(n_trials=1), seconds_left=lambda: 3.9)
    assert [fit["rung"] for fit in trials[0].results] == [0]  # the next one takes 4.0
    assert trials[0].cause == "no time left for a longer fit"


def test_in_parallel_nothing_is_lost(tmp_path: Path) -> None:
    """Nor run twice, though all workers reach for the same trial that waits."""
    waiting = {f"net-{width}": {"hidden_layer_sizes": [width]} for width in range(1, 13)}
    evaluate = Evaluation()
    trials = run_search(tmp_path, evaluate, plan(n_trials=16, known=known(waiting)), workers=4)
    assert sorted(trial.number for trial in trials) == list(range(16))
    assert max(Counter(str(overrides) for overrides in evaluate.evaluated).values()) == 1


def test_a_space_with_nothing_left_to_draw_ends_the_search(tmp_path: Path) -> None:
    frozen = {
        "deskew": False, "components": 0, "hidden_layers": 1, "width_1": 64, "activation": "relu", "solver": "adam",
        "alpha": 1e-4, "learning_rate": 1e-3, "batch_size": 64,
    }  # fmt: skip
    assert len(run_search(tmp_path, Evaluation(), plan(frozen, n_trials=None))) == 3
