"""What a layer of params says of `train` and of networks, and what becomes of accuracies measured before it."""

from pathlib import Path
from typing import Any

import pytest

from digits.config import Params, load_params
from digits.config.overrides import lay_over
from toys import ROOT, params_faults


def test_a_network_is_the_default_with_what_it_says_laid_over_and_the_user_above_both() -> None:
    networks = '{"wide": {"layers": "64C3 32", "epochs": 9, "augment": {"zoom": 0.2}}}'

    def load(*more: str) -> Params:
        return load_params(
            ROOT / "params.yaml", [f"networks={networks}", "train.candidates=[default]", "train.extra=[]", *more]
        )

    plain, named = load(), load("train.network=wide", "train.epochs=4", "train.seed=1")
    assert (named.train.layers, named.train.epochs, named.train.seed) == ("64C3 32", 4, 1)
    assert named.train.augment == plain.train.augment.model_copy(update={"zoom": 0.2})
    assert plain.network("wide") == load("train.network=wide").train.spec


def test_what_is_said_of_train_holds_for_every_network(tmp_path: Path) -> None:
    said = load_params(ROOT / "params.yaml", ["train.epochs=3", "train.schedule=cosine", "train.refits=7"])
    written = load_params(ROOT / "params.yaml")
    for name in written.networks:
        network = said.network(name)
        assert (network.epochs, network.schedule.kind) == (3, "cosine")
        assert network.layers == written.network(name).layers
    (tmp_path / "mine.yaml").write_text(
        f"extends: {ROOT / 'params.yaml'}\ntrain: {{tta: [], augment: {{elastic: 1.5}}}}\n"
        "networks: {medium: {augment: {elastic: 2.5}}}\n"
    )
    mine = load_params(tmp_path / "mine.yaml")
    assert {name: mine.network(name).tta for name in mine.networks} == dict.fromkeys(written.networks, ())
    assert mine.network("deep").augment.elastic == 1.5
    assert mine.network("medium").augment.elastic == 2.5
    assert mine.network("tiny").augment.rotation == written.network("tiny").augment.rotation


def test_what_was_measured_is_not_said_of_networks_that_are_changed(tmp_path: Path) -> None:
    slug = "digit-recognizer"

    def measured(*overrides: str) -> set[str]:
        return set(load_params(ROOT / "params.yaml", overrides).train.measured_accuracy[slug])

    every = measured()
    assert {"small", "medium"} <= every
    assert measured("train.seed=3", "train.network=medium") == every
    assert measured("train.epochs=2") == measured("train.augment.zoom=0") == set()
    assert measured("networks.medium.epochs=2") == every - {"medium"}
    assert measured("train.epochs=2", f"train.measured_accuracy={{{slug}: {{default: 0.9}}}}") == {"default"}
    (tmp_path / "mine.yaml").write_text(f"extends: {ROOT / 'params.yaml'}\nnetworks: {{medium: {{epochs: 2}}}}\n")
    assert set(load_params(tmp_path / "mine.yaml").train.measured_accuracy[slug]) == every - {"medium"}


def test_an_accuracy_holds_for_the_network_as_it_was_when_it_was_written() -> None:
    below = {
        "train": {"epochs": 6, "augment": {"zoom": 0.1}, "measured_accuracy": {"toy": {"default": 0.8, "long": 0.9}}},
        "networks": {"long": {"epochs": 16}},
    }

    def kept(**layer: object) -> set[str]:
        return set(lay_over(below, layer)["train"]["measured_accuracy"]["toy"])

    both = {"default", "long"}
    assert kept() == kept(train={"refits": 3}) == kept(train={"augment": {"zoom": 0.1}}) == both
    assert kept(train={"epochs": 16}) == {"long"}, "which has 16 epochs anyway"
    assert kept(train={"epochs": 7}, networks={"long": {"epochs": 16}}) == {"long"}
    assert kept(networks={"long": {"epochs": 17}, "other": {"epochs": 3}}) == {"default"}
    assert kept(networks={"long": {"epochs": 16}}) == both
    assert kept(train={"epochs": 7, "measured_accuracy": {"toy": {"default": 0.81}}}) == {"default"}

    def moved(content: dict[str, Any]) -> dict[str, float]:
        return dict(content["train"]["measured_accuracy"].get("changed-networks", {}))

    once = lay_over(below, {"train": {"epochs": 7}, "networks": {"long": {"epochs": 16}}})
    assert moved(once) == {"default": 0.8}, "plans still go by it"
    twice = lay_over(once, {"networks": {"long": {"epochs": 17}}})
    assert moved(twice) == {"default": 0.8, "long": 0.9}
    assert moved(lay_over(below, {"train": {"refits": 3}})) == {}


def test_set_replaces_a_section_in_every_network_too() -> None:
    params = load_params(ROOT / "params.yaml", ["train.schedule={kind: plateau, factor: 0.5, patience: 2}"])
    for name in params.networks:
        assert params.network(name).schedule == params.train.schedule
    still = "train.augment={rotation: 1.0, zoom: 0.0, shear: 0.0, shift: 0.0, elastic: 0.0, flip: false}"
    params = load_params(ROOT / "params.yaml", [still, "networks.tiny.augment={zoom: 0.2}"])
    assert params.network("medium").augment == params.train.augment
    assert params.network("tiny").augment == params.train.augment.model_copy(update={"zoom": 0.2})


@pytest.mark.parametrize("wrong", ["networks=3", "networks.tiny=3", "train=3", "train.measured_accuracy.toy=3"])
def test_a_value_in_the_place_of_a_section_reaches_validation(wrong: str) -> None:
    key = wrong.removesuffix("=3")
    assert params_faults("train.network=tiny", wrong) == [f"params.yaml: {key} = 3, but it must be a section"]
