"""What a search found: a fragment that the same params take by themselves, and that a person can edit."""

from pathlib import Path
from typing import Any

import pytest

from digits.config import Params, load_params
from digits.errors import UserError
from digits.prepared import Prepared
from digits.studies import baseline_runs, study_of, train_run


def changed(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def test_what_was_found_is_a_fragment_that_train_takes(toy_params: Params, toy_data: Prepared, tmp_path: Path) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    default = train_run(toy_params, toy_data, study)
    assert study.best == {} and study.fragment is None
    study.save({"layers": "8C3 MP2 16", "optimizer": {"name": "adam"}, "normalise": "standard"}, "found\nby hand")
    found = train_run(toy_params, toy_data, study)
    assert found.model == default.model | {"layers": "8C3 MP2 16", "optimizer": {"name": "adam"}}
    assert (found.normalise, default.normalise) == ("standard", "/255")
    assert train_run(changed(toy_params, "train", use_tuned=False), toy_data, study) == default
    study.save({"epoch": 3}, "edited by hand")
    with pytest.raises(UserError, match=r"best.yaml: unknown key epoch; did you mean epochs\?"):
        train_run(toy_params, toy_data, study)
    study.save({}, "kept")
    assert study.fragment == {} and train_run(toy_params, toy_data, study) == default


def test_the_fragment_is_a_params_file_but_for_what_it_extends(
    toy_params: Params, toy_data: Prepared, tmp_path: Path
) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    study.save({"learning_rate": 0.004, "normalise": "minmax"}, "found")
    whole = tmp_path / "mine.yaml"
    root = Path(__file__).parent.parent / "params.yaml"
    whole.write_text(f"extends: {root}\n" + (study.folder / "best.yaml").read_text())
    params = load_params(whole)
    assert (params.train.learning_rate, params.data.normalise) == (0.004, "minmax")


def test_a_tuned_baseline_is_fitted_as_it_was_found(toy_params: Params, toy_data: Prepared, tmp_path: Path) -> None:
    before = baseline_runs(toy_params, toy_data, tmp_path)
    study_of(toy_params, toy_data, tmp_path, "small").save({"alpha": 0.5, "hidden_layer_sizes": [3, 2]}, "found")
    after = baseline_runs(toy_params, toy_data, tmp_path)
    assert after[0].model == before[0].model | {"alpha": 0.5, "hidden_layer_sizes": [3, 2]}
    assert after[1:] == before[1:]


def test_a_changed_space_objective_or_data_is_another_study(
    toy_params: Params, toy_data: Prepared, tmp_path: Path
) -> None:
    def name(params: Params, model: str = "train") -> str:
        return study_of(params, toy_data, tmp_path, model).name

    same: list[dict[str, Any]] = [
        {"budget": 99.0},
        {"workers": 7},
        {"storage": "postgresql://somewhere"},
        {"trials": 1},
        {"timeout": 1.0},
    ]
    assert {name(changed(toy_params, "tune", **each)) for each in same} == {name(toy_params)}
    others = [
        changed(toy_params, "tune", space={"blocks": 2}),
        changed(toy_params, "tune", epochs=3),
        changed(toy_params, "tune", seed=1),
        changed(toy_params, "train", learning_rate=0.5),
        changed(toy_params, "data", normalise="minmax"),
    ]
    names = {name(each) for each in others} | {name(toy_params), name(toy_params, "small")}
    assert len(names) == len(others) + 2
