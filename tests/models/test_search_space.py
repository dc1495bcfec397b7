"""The search space: all suggestions are models, narrowing and freezing hold, nothing outside is accepted."""

import random
from dataclasses import replace
from typing import Any

import pytest

from digits.config import CnnSpec, MlpSpec, Params
from digits.config.section import overlay
from digits.models.architecture import output_size, parse_layers, training_operations
from digits.models.distributions import suggest
from digits.models.points import Limits, nearest_values, to_params, usual_rate
from digits.models.search_space import SPACES, narrow_space

DIGITS = Limits((28, 28), 10, 1)


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


class Given(RandomTrial):
    """Suggests given values, and the first choice or the lowest number where there is none."""

    def __init__(self, values: dict[str, Any]):
        super().__init__(0)
        self.values = values

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.values.get(name, choices[0])

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.values.get(name, low))

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        return float(self.values.get(name, low))


@pytest.mark.parametrize("side", [8, 12, 20, 28, 64])
def test_every_suggestion_is_a_network_and_every_choice_occurs(params: Params, side: int) -> None:
    """On images of any size."""
    seen: dict[str, set[Any]] = {}
    for seed in range(400):
        values = suggest(RandomTrial(seed), SPACES["cnn"])
        overrides = to_params("cnn", values, Limits((side, side), 10, 1))
        spec = CnnSpec.model_validate(overlay(params.train.spec.model_dump(), overrides))
        assert min(output_size(parse_layers(spec.layers), (side, side))) >= 1
        assert spec.optimizer.name == values["optimizer"]
        assert spec.activation == values["activation"]
        assert spec.augment.shift == pytest.approx(side * values["shift"], rel=0.01)
        for name, value in values.items():
            seen.setdefault(name, set()).add(value)
    assert seen.keys() == SPACES["cnn"].keys()
    for name, dimension in SPACES["cnn"].items():
        if hasattr(dimension.distribution, "choices"):
            assert seen[name] == set(dimension.distribution.choices)


def test_layers_have_the_suggested_values() -> None:
    values = {
        "blocks": 2, "convolutions": 2, "last_convolutions": 2, "filters": 16, "growth": 1.5, "kernel_size": 3,
        "padding": "same", "pooling": "stride", "batch_norm": True, "block_dropout": 0.2, "head": "flatten",
        "dense_layers": 1, "units": 64, "dropout": 0.5,
    }  # fmt: skip
    rest = suggest(RandomTrial(0), SPACES["cnn"])

    def layers(**changes: Any) -> str:
        return str(to_params("cnn", rest | values | changes, DIGITS)["layers"])

    assert layers() == "16C3 BN 16C3s2 BN D0.2 24C3 BN 24C3s2 BN D0.2 D0.5 64"
    pooled = {"pooling": "average-pooling", "batch_norm": False, "dense_layers": 0, "head": "global-pooling"}
    assert layers(**pooled) == "16C3 16C3 AP2 D0.2 24C3 24C3 AP2 D0.2 GAP D0.5"
    plain = {"pooling": "max-pooling", "batch_norm": False, "block_dropout": 0.0, "padding": "valid", "growth": 2.0}
    # 28 pixels, then 26, 24, 12, 10, 8, 4
    assert layers(**plain, blocks=3, last_convolutions=1) == "16C3v 16C3v MP2 32C3v 32C3v MP2 64C3 MP2 D0.5 64"


def test_a_network_that_would_be_too_large_gets_fewer_filters() -> None:
    """So every network of a search sees enough images in its time."""
    most = training_operations(parse_layers("24C3v 24C3v MP2 48C3v 48C3v MP2 96C3 MP2 D0.3 128"), (28, 28), 10)
    wide = 0
    for seed in range(200):
        values = suggest(RandomTrial(seed), SPACES["cnn"])
        free, bound = (to_params("cnn", values, each)["layers"] for each in (DIGITS, replace(DIGITS, operations=most)))
        sizes = [training_operations(parse_layers(layers), (28, 28), 10) for layers in (free, bound)]
        assert sizes[1] <= most or bound.startswith("8C")
        assert (free == bound) == (sizes[0] <= most or free.startswith("8C"))
        wide += free != bound
    assert wide > 20


@pytest.mark.parametrize("name", ["default", "narrow", "tiny", "small", "medium", "large"])
def test_the_shipped_networks_are_points_of_the_space(params: Params, name: str) -> None:
    """What a search starts near is the network itself, but for rounded numbers."""
    model = params.network(name).model_dump(mode="json") | {"batch_size": 128}
    values = nearest_values(SPACES["cnn"], model, (28, 28))
    again = overlay(model, to_params("cnn", suggest(Given(values), SPACES["cnn"]), DIGITS))
    spec = CnnSpec.model_validate(again).model_dump(mode="json")
    rounded = {"learning_rate": 0.01, "augment": 0.01}
    for key, within in rounded.items():
        assert spec.pop(key) == pytest.approx(model.pop(key), rel=within), key
    assert spec == model


def test_a_network_that_the_space_does_not_have_has_a_neighbour(params: Params) -> None:
    model = params.network("deep").model_dump(mode="json") | {"batch_size": 128}
    values = nearest_values(SPACES["cnn"], model, (28, 28))
    layers = to_params("cnn", suggest(Given(values), SPACES["cnn"]), DIGITS)["layers"]
    assert layers == "32C3v BN 32C3v BN 32C3s2 BN D0.4 64C3v BN 64C3v BN 64C3s2 BN D0.4 128C3s2 BN D0.4"


def test_what_is_narrowed_for_networks_does_not_matter_to_an_mlp(params: Params) -> None:
    """As `flip` in params.yaml, where tune.model names an mlp."""
    assert {"flip", "pooling"} <= params.tune.space.keys()
    assert narrow_space("mlp", params.tune.space) == SPACES["mlp"]


def test_frozen_dimensions_are_no_part_of_a_point(params: Params) -> None:
    model = params.network("medium").model_dump(mode="json")
    space = narrow_space("cnn", {"kernel_size": 5, "filters": [48, 64], "zoom": [0.0, 0.05]})
    values = nearest_values(space, model, (28, 28))
    assert "kernel_size" not in values
    assert (values["filters"], values["zoom"]) == (48, 0.05)
    mlp = params.baseline.models["mlp-256-128"].model_dump(mode="json")
    assert nearest_values(SPACES["mlp"], mlp, (28, 28)) == {
        "deskew": False, "components": 0, "hidden_layers": 2, "width_1": 256, "width_2": 128, "activation": "relu",
        "solver": "adam", "alpha": 1e-4, "learning_rate": 1e-3, "batch_size": 200,
    }  # fmt: skip


def test_rates_suit_the_batch() -> None:
    assert usual_rate("adam", 512) == pytest.approx(2 * usual_rate("adam", 128))
    assert usual_rate("sgd", 512) == pytest.approx(4 * usual_rate("sgd", 128))


def test_every_suggestion_is_an_mlp(params: Params) -> None:
    default = params.baseline.models["mlp-256-128"].model_dump()
    for seed in range(100):
        values = suggest(RandomTrial(seed), SPACES["mlp"])
        spec = MlpSpec.model_validate(default | to_params("mlp", values, DIGITS))
        assert len(spec.hidden_layer_sizes) == values["hidden_layers"]
        assert spec.n_components == (values["components"] or None), "without components the pixels themselves"


def test_conditional_dimensions_are_suggested_where_they_apply() -> None:
    for seed in range(50):
        values = suggest(RandomTrial(seed), SPACES["cnn"])
        assert ("weight_decay" in values) == (values["optimizer"] == "muon")
        assert ("units" in values) == (values["dense_layers"] > 0)


def test_narrowed_and_frozen_dimensions_hold() -> None:
    wanted = {
        "blocks": [2, 3],
        "optimizer": ["adam", "sgd"],
        "kernel_size": 3,
        "dropout": 0.25,
        "rate": [1.0, 2.0],
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
        assert 1 <= values["rate"] <= 2


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"dropout": 0.7}, "dropout = 0.7 does not lie within 0 to 0.6"),
        ({"dropout": [0.1, 0.9]}, r"dropout = \[0.1, 0.9\] does not lie within"),
        ({"blocks": [3, 2]}, r"blocks = \[3, 2\] does not lie within 2 to 4"),
        ({"blocks": 1.5}, "only whole numbers"),
        ({"filters": 20}, "filters = 20 is none of 16, 24"),
        ({"optimizer": ["adam", "adams"]}, "optimizer = 'adams' is none of"),
        ({"optimizer": []}, "is none of"),
        ({"rate": "high"}, "neither a number"),
        ({"blocks": True}, "neither a number"),
        ({"drop": 0.1}, "drop: no parameter of that name can be searched; did you mean dropout"),
    ],
)
def test_values_outside_are_refused_by_name(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        narrow_space("cnn", wanted)
