"""The parameters that a study found: a fragment that the same params use by themselves, and that a person can edit."""

from pathlib import Path
from typing import Any

import pytest

from digits.common.errors import UserError
from digits.config import Params, load_params
from digits.data.dataset import Dataset
from digits.models.architecture import parse_layers
from digits.models.cnn.network import LayerSettings, build_network
from digits.training.candidates import baseline_runs, learning_curves, networks
from digits.training.tuned import study_of, tuned_params
from toys import ROOT

STYLE = LayerSettings("relu", "glorot_uniform", 0.0, 0.0, 0.0, "float32")
FOUND: dict[str, Any] = {
    "networks": {"tuned": {"layers": "8C3 MP2 16", "optimizer": {"name": "adamw"}, "epochs": 3}},
    "train": {
        "candidates": ["default", "tuned"],
        "measured_accuracy": {"toy": {"default": {2: 0.9}, "tuned": {3: 0.95}}},
    },
}


def changed(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def test_what_was_found_is_a_fragment_that_train_uses(toy_params: Params, toy_data: Dataset, tmp_path: Path) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    assert (study.fragment, study.best) == (None, {})
    assert tuned_params(toy_params, toy_data, tmp_path) == toy_params
    study.save(FOUND, "found\nby hand")
    params = tuned_params(toy_params, toy_data, tmp_path)
    candidates, extra = networks(params)
    assert ([*candidates], extra) == (["default", "tuned"], {})
    assert candidates["default"] == toy_params.train.spec
    assert (candidates["tuned"].layers, candidates["tuned"].optimizer.name) == ("8C3 MP2 16", "adamw")
    assert candidates["tuned"].label_smoothing == toy_params.train.label_smoothing
    assert study_of(toy_params, toy_data, tmp_path, "train").best == FOUND["networks"]["tuned"]
    unused = changed(toy_params, "train", use_tuned=False)
    assert tuned_params(unused, toy_data, tmp_path) == unused
    study.save({"networks": {"tuned": {"epoch": 3}}}, "edited by hand")
    with pytest.raises(UserError, match=r"best.yaml: unknown key networks.tuned.epoch; did you mean .*epochs\?"):
        tuned_params(toy_params, toy_data, tmp_path)
    study.save({}, "kept")
    assert study.fragment == {}
    assert tuned_params(toy_params, toy_data, tmp_path) == toy_params


def test_what_another_search_finds_meanwhile_is_not_mixed_in(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    ours, theirs = (study_of(toy_params, toy_data, tmp_path, "train") for _ in range(2))
    theirs.save(FOUND, "found first")
    assert ours.fragment == FOUND
    theirs.save({}, "found then")
    assert ours.best == FOUND["networks"]["tuned"]
    assert theirs.best == {}


def test_a_network_that_is_named_is_the_only_one() -> None:
    params = load_params(ROOT / "params.yaml", ["train.network=deep"])
    assert networks(params) == ({"deep": params.network("deep")}, {})


@pytest.mark.parametrize(
    ("side", "candidates", "extra"),
    [
        (28, ["default", "tiny", "narrow", "small", "medium"], ["deep"]),
        (16, ["default"], ["deep"]),
        (8, ["default"], []),
    ],
)
def test_networks_that_the_images_are_too_small_for_are_left_out(
    side: int, candidates: list[str], extra: list[str]
) -> None:
    params = load_params(ROOT / "params.yaml", [f"competition.image_shape=[{side},{side}]"])
    assert [*map(list, networks(params))] == [candidates, extra]
    for name in (*candidates, *extra):
        build_network(parse_layers(params.network(name).layers), STYLE, (side, side), 10)
    for name in params.too_large:
        with pytest.raises(ValueError, match=r"dimension|[Nn]egative|size"):
            build_network(parse_layers(params.network(name).layers), STYLE, (side, side), 10)


def test_plans_go_by_what_was_measured_elsewhere_and_before() -> None:
    """On the competition's images if it can be, else on those of another one, or before a param was changed."""

    def errors(*given: str) -> dict[str, float]:
        params = load_params(ROOT / "params.yaml", given)
        curves = learning_curves(params, networks(params)[0])
        return {name: curve.measured_error(14) for name, curve in curves.items()}

    of_digits = errors()
    assert of_digits["medium"] < of_digits["narrow"] < of_digits["tiny"] < of_digits["default"]
    assert errors("competition.slug=another") == errors("train.augment.rotation=3") == of_digits
    own = errors("competition.slug=another", "train.measured_accuracy.another={small: {14: 0.9}}")
    assert own["small"] == pytest.approx(0.1)
    others = own.keys() - {"small"}
    times = 0.1 / of_digits["small"]  # as many errors there as on the digits
    assert [own[name] for name in others] == pytest.approx([min(1, times * of_digits[name]) for name in others])
    flat = errors("competition.slug=another", "train.measured_accuracy.another={small: {4: 0.9, 14: 0.901}}")
    assert 0.09 < min(flat.values()) <= max(flat.values()) < 0.11
    fresh = errors("networks.new={epochs: 14}", "train.candidates=[tiny, new, medium]")
    assert fresh["medium"] == of_digits["medium"]
    assert fresh["new"] < fresh["tiny"], "it is listed after it"


def test_the_fragment_is_a_params_file_but_for_what_it_extends(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    study.save(FOUND, "found")
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"extends: {ROOT / 'params.yaml'}\n" + study.found_file.read_text())
    params = load_params(mine)
    assert params.network("tuned").layers == "8C3 MP2 16"
    assert params.train.candidates == ("default", "tuned")


def test_a_tuned_baseline_is_fitted_as_it_was_found(toy_params: Params, toy_data: Dataset, tmp_path: Path) -> None:
    before = baseline_runs(toy_params, toy_data)
    overrides = {"alpha": 0.5, "hidden_layer_sizes": [3, 2]}
    study = study_of(toy_params, toy_data, tmp_path, "small")
    study.save({"baseline": {"models": {"small": overrides}}}, "found")
    after = baseline_runs(tuned_params(toy_params, toy_data, tmp_path), toy_data)
    assert study.best == overrides
    assert after[0].model == before[0].model | overrides
    assert after[1:] == before[1:]


def test_a_changed_space_objective_or_data_is_another_study(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    def name(params: Params, model: str = "train") -> str:
        return study_of(params, toy_data, tmp_path, model).name

    same = [
        *(changed(toy_params, "tune", **{key: value}) for key, value in SAME_SEARCH.items()),
        changed(toy_params, "train", budget=99.0),
        changed(toy_params, "train", candidates=("small", "default")),
    ]
    assert {name(each) for each in same} == {name(toy_params)}
    others = [
        changed(toy_params, "tune", space={"blocks": 2}),
        changed(toy_params, "tune", seed=1),
        changed(toy_params, "train", learning_rate=0.5),
        changed(toy_params, "train", network="small"),
        changed(toy_params, "data", normalise="minmax"),
        toy_params.model_copy(update={"networks": toy_params.networks | {"new": {"epochs": 3}}}),
    ]
    names = {name(each) for each in others} | {name(toy_params), name(toy_params, "small")}
    assert len(names) == len(others) + 2


SAME_SEARCH: dict[str, Any] = {"budget": 99.0, "workers": 7, "storage": "postgresql://somewhere", "n_trials": 1}
