"""The search space: all suggestions are models, narrowing and freezing hold, nothing outside is accepted."""

import random
from typing import Any

import pytest

from digits.config import CnnSpec, MlpSpec, Params
from digits.config.section import overlay
from digits.models.architecture import output_size, parse_layers
from digits.models.search_space import SPACES, narrow_space, suggest, to_params, values_inside


class RandomTrial:
    """Suggests random values and records them."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.suggested: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.suggested[name] = self.random.choice(choices)
        return self.suggested[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.suggested[name] = self.random.randint(low, high)
        return int(self.suggested[name])

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        assert not (log and step)
        self.suggested[name] = self.random.uniform(low, high)
        return float(self.suggested[name])


def test_every_suggestion_is_a_network_and_every_choice_occurs(params: Params) -> None:
    seen: dict[str, set[Any]] = {}
    for seed in range(400):
        values = suggest(RandomTrial(seed), SPACES["cnn"])
        overrides = to_params("cnn", values)
        normalise = overrides.pop("normalise")
        spec = CnnSpec.model_validate(overlay(params.train.spec.model_dump(), overrides))
        output_size(parse_layers(spec.layers), (28, 28))
        assert normalise in ("/255", "standard", "minmax")
        assert spec.optimizer.name == values["optimizer"]
        assert spec.activation == values["activation"]
        for name, value in values.items():
            seen.setdefault(name, set()).add(value)
    assert seen.keys() == SPACES["cnn"].keys()
    for name, dimension in SPACES["cnn"].items():
        if hasattr(dimension.distribution, "choices"):
            assert seen[name] == set(dimension.distribution.choices)


def test_layers_have_the_suggested_values() -> None:
    values = {
        "blocks": 2, "convolutions": 2, "filters": 16, "growth": 1.5, "kernel_size": 3, "pooling": "stride",
        "batch_norm": True, "block_dropout": 0.2, "head": "flatten", "dense_layers": 1, "units": 64, "dropout": 0.5,
    }  # fmt: skip
    rest = suggest(RandomTrial(0), SPACES["cnn"])
    found = to_params("cnn", rest | values)["layers"]
    assert found == "16C3 BN 16C3s2 BN D0.2 24C3 BN 24C3s2 BN D0.2 D0.5 64"
    pooled = values | {
        "pooling": "average-pooling",
        "batch_norm": False,
        "dense_layers": 0,
        "head": "global-pooling",
    }
    assert to_params("cnn", rest | pooled)["layers"] == "16C3 16C3 AP2 D0.2 24C3 24C3 AP2 D0.2 GAP D0.5"


def test_every_suggestion_is_an_mlp(params: Params) -> None:
    default = params.baseline.models["mlp-256-128"].model_dump()
    for seed in range(100):
        values = suggest(RandomTrial(seed), SPACES["mlp"])
        spec = MlpSpec.model_validate(default | to_params("mlp", values))
        assert len(spec.hidden_layer_sizes) == values["hidden_layers"]


def test_conditional_dimensions_are_suggested_where_they_apply() -> None:
    for seed in range(50):
        values = suggest(RandomTrial(seed), SPACES["cnn"])
        assert ("momentum" in values) == ("sgd_learning_rate" in values) == (values["optimizer"] == "sgd")
        assert ("units" in values) == (values["dense_layers"] > 0)
        assert ("warmup" in values) == (values["schedule"] == "one-cycle")


def test_narrowed_and_frozen_dimensions_hold() -> None:
    wanted = {
        "blocks": [2, 3],
        "optimizer": ["adam", "sgd"],
        "kernel_size": 3,
        "dropout": 0.25,
        "learning_rate": [1e-3, 2e-3],
    }
    space = narrow_space("cnn", wanted)
    for seed in range(60):
        trial = RandomTrial(seed)
        values = suggest(trial, space)
        assert 2 <= values["blocks"] <= 3
        assert values["optimizer"] in ("adam", "sgd")
        assert values["kernel_size"] == 3
        assert values["dropout"] == 0.25
        assert not {"kernel_size", "dropout"} & trial.suggested.keys(), "frozen dimensions are not suggested"
        assert 1e-3 <= values.get("learning_rate", 1e-3) <= 2e-3


def test_the_initial_point_keeps_the_values_inside_a_narrowed_space(params: Params) -> None:
    assert values_inside(SPACES["cnn"], params.tune.initial_point) == params.tune.initial_point
    space = narrow_space("cnn", {"blocks": 3, "kernel_size": 5, "optimizer": ["adam", "sgd"], "zoom": [0.0, 0.05]})
    outside = {"blocks", "kernel_size", "zoom"}
    assert values_inside(space, params.tune.initial_point).keys() == params.tune.initial_point.keys() - outside


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
        ({"drop": 0.1}, "drop: no parameter of that name can be searched; did you mean dropout"),
    ],
)
def test_values_outside_are_refused_by_name(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        narrow_space("cnn", wanted)
