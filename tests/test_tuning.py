"""The search draws from its space, starts with the default, survives bad trials and goes on after a kill."""

import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest

from digits.config import CnnSpec, Params
from digits.errors import UserError
from digits.studies import Study, study_of, train_run
from digits.tuning import search, suggest, trials_done


def quiet(*_: Any) -> None:
    pass


def test_whatever_is_drawn_is_a_valid_network_within_the_space(params: Params) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        overrides = suggest(study.ask(), params.tune.space)
        spec = CnnSpec.model_validate(params.train.spec.model_dump() | overrides)
        assert spec.optimizer.name in params.tune.space.optimizer
        assert 1 <= spec.layers.count("MP2") <= 3
        seen.add(spec.optimizer.name)
    assert seen == set(params.tune.space.optimizer)


def test_the_default_comes_first_and_the_best_is_returned(params: Params, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def judge(overrides: dict[str, Any]) -> float:
        asked.append(overrides)
        return -abs(float(overrides.get("learning_rate", 1)) - 0.004)

    best = search(Study(tmp_path), params.tune, judge, quiet)
    assert asked[0] == {}
    assert len(asked) == params.tune.trials == trials_done(Study(tmp_path), params.tune)
    assert judge(best) == max(judge(overrides) for overrides in asked[:10])


def test_the_default_stays_when_nothing_is_better(params: Params, tmp_path: Path) -> None:
    assert search(Study(tmp_path), params.tune, lambda overrides: 0.9 if overrides else 0.99, quiet) == {}


def test_a_trial_that_cannot_be_fitted_is_told_and_passed_over(params: Params, tmp_path: Path) -> None:
    told: list[str] = []

    def judge(overrides: dict[str, Any]) -> float:
        if overrides and len(told) % 2:
            raise UserError("the loss became nan")
        return 0.5

    search(Study(tmp_path), params.tune, judge, lambda _, result, __: told.append(result))
    assert len(told) == params.tune.trials
    assert "the loss became nan" in told and "0.5000" in told


def test_a_killed_search_goes_on_and_repeats_the_trial_that_was_cut(params: Params, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    class Killed(BaseException):
        pass

    def judge(overrides: dict[str, Any]) -> float:
        asked.append(overrides)
        if len(asked) == 3:
            # what a SIGKILL leaves: a trial that is still RUNNING
            raise Killed
        return 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optuna.study._optimize._run_trial", _run_trial_without_telling)
        with pytest.raises(Killed):
            search(Study(tmp_path), params.tune, judge, quiet)
    memory = optuna.load_study(study_name="tune", storage=Study(tmp_path).storage)
    assert [trial.state.name for trial in memory.trials][-1] == "RUNNING"
    search(Study(tmp_path), params.tune, judge, quiet)
    assert asked[3] == asked[2]
    drawn = [str(overrides) for overrides in [*asked[:2], *asked[3:]]]
    assert len(set(drawn)) == len(drawn), "a search that goes on draws what it has drawn before"
    assert trials_done(Study(tmp_path), params.tune) == params.tune.trials
    assert len(asked) == params.tune.trials + 1


def test_a_kill_before_the_first_trial_leaves_nothing_in_the_way(params: Params, tmp_path: Path) -> None:
    Study(tmp_path).folder.mkdir(exist_ok=True)
    sqlite3.connect(tmp_path / "study.db").close()
    assert trials_done(Study(tmp_path), params.tune) == 0
    assert search(Study(tmp_path), params.tune, lambda _: 0.5, quiet) is not None


def _run_trial_without_telling(study: Any, function: Any, _: Any) -> Any:
    trial = study.ask()
    value = function(trial)
    study.tell(trial, value)
    return trial.number


def test_what_was_found_is_a_fragment_that_train_takes(toy_params: Params, toy_data: Any, tmp_path: Path) -> None:
    default = train_run(toy_params, toy_data, tmp_path)
    study = study_of(toy_params, toy_data, tmp_path)
    assert study.best is None
    study.save_best({"layers": "8C3 MP2 16", "learning_rate": 0.001}, "found by hand")
    assert train_run(toy_params, toy_data, tmp_path).model == default.model | {
        "layers": "8C3 MP2 16",
        "learning_rate": 0.001,
    }
    ignoring = toy_params.model_copy(update={"train": toy_params.train.model_copy(update={"use_tuned": False})})
    assert train_run(ignoring, toy_data, tmp_path) == default
    study.save_best({"epoch": 3}, "edited by hand")
    with pytest.raises(UserError, match=r"best.yaml: unknown key epoch; did you mean epochs\?"):
        train_run(toy_params, toy_data, tmp_path)
    study.save_best({}, "kept")
    assert train_run(toy_params, toy_data, tmp_path) == default
