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
from digits.training.tuned import study_of
from toys import ROOT

STYLE = LayerSettings("relu", "glorot_uniform", 0.0, 0.0, 0.0, "float32")


def changed(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def test_what_was_found_is_a_fragment_that_train_uses(toy_params: Params, toy_data: Dataset, tmp_path: Path) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    default, extra = networks(toy_params, study)
    assert study.best == {}
    assert study.fragment is None
    assert extra == {}
    assert default["default"] == (toy_params.train.spec, "/255")
    assert tuple(default) == toy_params.train.candidates
    study.save({"layers": "8C3 MP2 16", "optimizer": {"name": "adamw"}, "normalise": "standard"}, "found\nby hand")
    [(spec, normalise)] = networks(toy_params, study)[0].values()
    assert (spec.layers, spec.optimizer.name, normalise) == ("8C3 MP2 16", "adamw", "standard")
    assert spec.epochs == toy_params.train.epochs
    assert networks(changed(toy_params, "train", use_tuned=False), study) == (default, {})
    study.save({"epoch": 3}, "edited by hand")
    with pytest.raises(UserError, match=r"best.yaml: unknown key epoch; did you mean epochs\?"):
        networks(toy_params, study)
    study.save({"clip_norm": 1.0}, "found before the key had its name of today")
    with pytest.raises(UserError, match=r"best.yaml: train.clip_norm is called train.clipnorm now$"):
        networks(toy_params, study)
    study.save({}, "kept")
    assert study.fragment == {}
    assert networks(toy_params, study) == (default, {})


def test_what_another_search_finds_meanwhile_is_not_mixed_in(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    ours, theirs = (study_of(toy_params, toy_data, tmp_path, "train") for _ in range(2))
    theirs.save({"layers": "8C3 MP2 16", "normalise": "standard"}, "found first")
    assert ours.best == {"layers": "8C3 MP2 16"}
    theirs.save({"learning_rate": 0.004}, "found then")
    assert ours.normalise == "standard"
    assert theirs.best == {"learning_rate": 0.004}


def test_a_network_that_is_named_is_the_only_one(toy_data: Dataset, tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml", ["train.network=deep"])
    study = study_of(params, toy_data, tmp_path, "train")
    assert networks(params, study) == ({"deep": (params.network("deep"), "/255")}, {})


@pytest.mark.parametrize(
    ("side", "candidates", "extra"),
    [
        (28, ["default", "tiny", "small", "medium"], ["deep"]),
        (16, ["default"], ["deep"]),
        (8, ["default"], []),
    ],
)
def test_networks_that_the_images_are_too_small_for_are_left_out(
    side: int, candidates: list[str], extra: list[str], toy_data: Dataset, tmp_path: Path
) -> None:
    params = load_params(ROOT / "params.yaml", [f"competition.image_shape=[{side},{side}]"])
    assert [*map(list, networks(params, study_of(params, toy_data, tmp_path, "train")))] == [candidates, extra]
    for name in (*candidates, *extra):
        build_network(parse_layers(params.network(name).layers), STYLE, (side, side), 10)
    for name in params.too_large:
        with pytest.raises(ValueError, match=r"dimension|[Nn]egative|size"):
            build_network(parse_layers(params.network(name).layers), STYLE, (side, side), 10)


def test_plans_go_by_what_was_measured_elsewhere_and_before(toy_data: Dataset, tmp_path: Path) -> None:
    """On the competition's images if it can be, else on those of another one, or before a param was changed."""

    def errors(*given: str) -> dict[str, float]:
        params = load_params(ROOT / "params.yaml", given)
        curves = learning_curves(params, networks(params, study_of(params, toy_data, tmp_path, "train"))[0])
        return {name: curve.measured_error(14) for name, curve in curves.items()}

    of_digits = errors()
    assert of_digits["medium"] < of_digits["tiny"] < of_digits["default"]
    assert errors("competition.slug=another") == errors("train.augment.rotation=3") == of_digits
    own = errors("competition.slug=another", "train.measured_accuracy.another={small: {14: 0.9}}")
    assert own == of_digits | {"small": pytest.approx(0.1)}
    fresh = errors("networks.new={epochs: 14}", "train.candidates=[tiny, new, medium]")
    assert fresh["medium"] == of_digits["medium"]
    assert fresh["new"] < fresh["tiny"], "it is listed after it"


def test_the_tuned_network_has_extra_ones_too(toy_params: Params, toy_data: Dataset, tmp_path: Path) -> None:
    params = changed(toy_params, "train", extra=("medium",))
    study = study_of(params, toy_data, tmp_path, "train")
    study.save({"layers": "8C3 MP2 16"}, "found")
    tuned, extra = networks(params, study)
    assert ([*tuned], extra) == (["tuned"], {"medium": (params.network("medium"), "/255")})


def test_the_tuned_network_takes_the_place_of_the_one_that_it_was_searched_from(
    toy_data: Dataset, tmp_path: Path
) -> None:
    """It is more accurate than that one; how it compares with the others is not known."""

    def candidates(*given: str) -> list[str]:
        params = load_params(ROOT / "params.yaml", given)
        study = study_of(params, toy_data, tmp_path, "train")
        study.save({"learning_rate": 0.004}, "found")
        found = networks(params, study)[0]
        assert found["tuned"][0].learning_rate == 0.004
        assert all(network == params.network(name) for name, (network, _) in found.items() if name != "tuned")
        return [*found]

    assert candidates() == ["tuned", "tiny", "small", "medium"]
    assert candidates("train.candidates=[tiny, small, default]") == ["tiny", "small", "tuned"]
    # another `small`
    assert candidates("networks.small.epochs=1") == ["tuned", "tiny", "medium"]
    assert candidates("train.candidates=[tiny, small]") == ["tuned"]  # the default's place is not known
    assert candidates("competition.slug=another") == ["tuned"]  # nothing is measured on its images
    assert candidates("train.network=small") == ["tuned"]  # a named network is the only one


def test_the_fragment_is_a_params_file_but_for_what_it_extends(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    study = study_of(toy_params, toy_data, tmp_path, "train")
    study.save({"learning_rate": 0.004, "normalise": "minmax"}, "found")
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"extends: {ROOT / 'params.yaml'}\n" + (study.folder / "best.yaml").read_text())
    params = load_params(mine)
    assert (params.train.learning_rate, params.data.normalise) == (0.004, "minmax")


def test_a_tuned_baseline_is_fitted_as_it_was_found(toy_params: Params, toy_data: Dataset, tmp_path: Path) -> None:
    before = baseline_runs(toy_params, toy_data, tmp_path)
    study_of(toy_params, toy_data, tmp_path, "small").save({"alpha": 0.5, "hidden_layer_sizes": [3, 2]}, "found")
    after = baseline_runs(toy_params, toy_data, tmp_path)
    assert after[0].model == before[0].model | {"alpha": 0.5, "hidden_layer_sizes": [3, 2]}
    assert after[1:] == before[1:]


def test_a_changed_space_objective_or_data_is_another_study(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    def name(params: Params, model: str = "train") -> str:
        return study_of(params, toy_data, tmp_path, model).name

    same: list[dict[str, Any]] = [
        {"budget": 99.0},
        {"workers": 7},
        {"storage": "postgresql://somewhere"},
        {"n_trials": 1},
        {"trial_timeout": 1.0},
    ]
    assert {name(changed(toy_params, "tune", **each)) for each in same} == {name(toy_params)}
    others = [
        changed(toy_params, "tune", space={"blocks": 2}),
        changed(toy_params, "tune", max_epochs=3),
        changed(toy_params, "tune", seed=1),
        changed(toy_params, "train", learning_rate=0.5),
        changed(toy_params, "data", normalise="minmax"),
    ]
    names = {name(each) for each in others} | {name(toy_params), name(toy_params, "small")}
    assert len(names) == len(others) + 2
