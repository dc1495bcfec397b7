"""The search space: whatever is drawn is a model, narrowing and freezing hold, nothing outside is taken."""

import random
from typing import Any

import pytest

from digits.config import CnnSpec, MlpSpec, Params
from digits.config.section import overlay
from digits.models.architecture import output_size, parse_layers
from digits.models.search_space import SPACES, draw, narrowed, parameters, within


class Dice:
    """Draws at random, and remembers what it was asked for."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.asked[name] = self.random.choice(choices)
        return self.asked[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.asked[name] = self.random.randint(low, high)
        return int(self.asked[name])

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        assert not (log and step)
        self.asked[name] = self.random.uniform(low, high)
        return float(self.asked[name])


def test_every_drawn_network_is_one_and_every_choice_occurs(params: Params) -> None:
    seen: dict[str, set[Any]] = {}
    for seed in range(400):
        drawn = draw(Dice(seed), SPACES["cnn"])
        overrides = parameters("cnn", drawn)
        normalise = overrides.pop("normalise")
        spec = CnnSpec.model_validate(overlay(params.train.spec.model_dump(), overrides))
        output_size(parse_layers(spec.layers), (28, 28))
        assert normalise in ("/255", "standard", "minmax")
        assert spec.optimizer.name == drawn["optimizer"] and spec.activation == drawn["activation"]
        for name, value in drawn.items():
            seen.setdefault(name, set()).add(value)
    assert seen.keys() == SPACES["cnn"].keys()
    for name, dimension in SPACES["cnn"].items():
        if hasattr(dimension.range, "options"):
            assert seen[name] == set(dimension.range.options)


def test_layers_say_what_was_drawn() -> None:
    drawn = {
        "blocks": 2, "convolutions": 2, "filters": 16, "growth": 1.5, "kernel_size": 3, "downsampling": "stride",
        "batch_norm": True, "block_dropout": 0.2, "head": "flatten", "dense_layers": 1, "units": 64, "dropout": 0.5,
    }  # fmt: skip
    rest = draw(Dice(0), SPACES["cnn"])
    found = parameters("cnn", rest | drawn)["layers"]
    assert found == "16C3 BN 16C3s2 BN D0.2 24C3 BN 24C3s2 BN D0.2 D0.5 64"
    pooled = drawn | {
        "downsampling": "average-pooling",
        "batch_norm": False,
        "dense_layers": 0,
        "head": "global-pooling",
    }
    assert parameters("cnn", rest | pooled)["layers"] == "16C3 16C3 AP2 D0.2 24C3 24C3 AP2 D0.2 GAP D0.5"


def test_every_drawn_perceptron_is_one(params: Params) -> None:
    default = params.baseline.models["mlp-256-128"].model_dump()
    for seed in range(100):
        drawn = draw(Dice(seed), SPACES["mlp"])
        spec = MlpSpec.model_validate(default | parameters("mlp", drawn))
        assert len(spec.hidden_layer_sizes) == drawn["hidden_layers"]


def test_what_makes_no_sense_is_not_drawn() -> None:
    for seed in range(50):
        drawn = draw(Dice(seed), SPACES["cnn"])
        assert ("momentum" in drawn) == ("sgd_learning_rate" in drawn) == (drawn["optimizer"] == "sgd")
        assert ("units" in drawn) == (drawn["dense_layers"] > 0)
        assert ("warmup" in drawn) == (drawn["schedule"] == "one-cycle")


def test_narrowed_and_frozen_dimensions_hold() -> None:
    wanted = {
        "blocks": [2, 3],
        "optimizer": ["adam", "sgd"],
        "kernel_size": 3,
        "dropout": 0.25,
        "learning_rate": [1e-3, 2e-3],
    }
    space = narrowed("cnn", wanted)
    for seed in range(60):
        dice = Dice(seed)
        drawn = draw(dice, space)
        assert 2 <= drawn["blocks"] <= 3 and drawn["optimizer"] in ("adam", "sgd")
        assert drawn["kernel_size"] == 3 and drawn["dropout"] == 0.25
        assert not {"kernel_size", "dropout"} & dice.asked.keys(), "what is frozen is not drawn"
        assert 1e-3 <= drawn.get("learning_rate", 1e-3) <= 2e-3


def test_only_what_lies_in_a_narrowed_space_is_set_out_from(params: Params) -> None:
    assert within(SPACES["cnn"], params.tune.initial_point) == params.tune.initial_point
    space = narrowed("cnn", {"blocks": 3, "kernel_size": 5, "optimizer": ["adam", "sgd"], "zoom": [0.0, 0.05]})
    outside = {"blocks", "kernel_size", "zoom"}
    assert within(space, params.tune.initial_point).keys() == params.tune.initial_point.keys() - outside


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"dropout": 0.7}, "dropout = 0.7 does not lie within 0 to 0.6"),
        ({"dropout": [0.1, 0.9]}, r"dropout = \[0.1, 0.9\] does not lie within"),
        ({"blocks": [3, 2]}, r"blocks = \[3, 2\] does not lie within 1 to 4"),
        ({"blocks": 1.5}, "only whole numbers"),
        ({"filters": 20}, "filters = 20 is none of 16, 32"),
        ({"optimizer": ["adam", "adams"]}, "optimizer = 'adams' is none of"),
        ({"optimizer": []}, "is none of"),
        ({"learning_rate": "high"}, "neither a number"),
        ({"blocks": True}, "neither a number"),
        ({"drop": 0.1}, "drop: there is nothing of that name to search; did you mean dropout"),
    ],
)
def test_what_lies_outside_is_refused_by_name(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        narrowed("cnn", wanted)
