"""Graphs and pipelines that are exported compute what the fitted models compute, in every format."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.config import Params
from digits.ensemble.combine import LOGITS, PROBABILITIES, Combination, Stack, WeightedMean
from digits.export.formats import NETWORK_FORMATS, write_network, write_pipeline
from digits.export.graph import graph
from digits.export.transforms import taps
from digits.models import TaskSpec, build
from digits.models.architecture import parse_layers
from digits.models.augmentation import transform_images
from digits.models.cnn.classifier import CnnClassifier
from digits.models.cnn.libraries import keras
from digits.models.cnn.muon import OUTPUT
from digits.models.cnn.network import LayerSettings, build_network
from digits.models.preprocessing import Normaliser
from toy_networks import IMAGES, LABELS, build_toy
from toys import coloured_images

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning:keras", "FutureWarning:keras")),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),  # the fits are short
]
COLOURED = coloured_images(60, np.random.default_rng(3))[0]
GREY, RGB = TaskSpec((12, 12), 3, "/255"), TaskSpec((12, 12), 3, "minmax", 3)
TTA = [{"rotation": 7.0}, {"zoom": -0.1}, {"shear": 5.0}, {"shift": [1, -2]}, {"flip": True}]
ALONE = WeightedMean(np.ones(1), PROBABILITIES)
generator = np.random.default_rng(5)
STACK = Stack(generator.normal(0, 0.3, (3, 6)), generator.normal(0, 0.3, 3))
BLENDS = [WeightedMean(np.array([0.3, 0.7]), PROBABILITIES), WeightedMean(np.array([0.3, 0.7]), LOGITS), STACK]


def classifier(
    spec: dict[str, Any], layers: str, task: TaskSpec = GREY, seed: int = 0, **changes: Any
) -> CnnClassifier:
    """A network with random weights and statistics, so that each of its layers counts, as if it had been fitted."""
    made = build_toy(spec, task=task, layers=layers, **changes)
    settings = LayerSettings(
        **{field.name: made.spec[field.name] for field in fields(LayerSettings) if field.name in made.spec}
    )
    made.model_ = build_network(parse_layers(layers), settings, task.image_shape, task.classes, task.channels)
    rng = np.random.default_rng(seed)
    made.model_.set_weights(
        [
            rng.uniform(0.2, 1.0, weight.shape)
            if weight.ndim == 1
            else rng.normal(0, np.prod(weight.shape[:-1]) ** -0.5, weight.shape)
            for weight in made.model_.get_weights()
        ]
    )
    made.normaliser_ = Normaliser(task.normalise).fit(images_of(task))
    dense = made.model_.get_layer(OUTPUT)
    normalised = made.normaliser_.transform(images_of(task)).reshape(-1, *task.image_shape, task.channels)
    logits = keras.Model(made.model_.inputs[0], dense.output)(normalised).numpy()
    dense.bias.assign_sub(logits.mean(axis=0))  # so that no class always wins
    made.temperature_ = float(logits.std(axis=0).mean()) / 4  # so that some images are unsure
    return made


def images_of(task: TaskSpec) -> NDArray[np.uint8]:
    return COLOURED if task.channels == 3 else IMAGES[:60]


def shaped(task: TaskSpec) -> NDArray[np.float32]:
    return images_of(task).reshape(-1, *task.image_shape, task.channels).astype(np.float32)


@pytest.mark.parametrize(
    ("layers", "task", "changes"),
    [
        ("4C3v BN 4C3v MP2 D0.3 8 BN D0.5", GREY, {}),
        ("4C3s2 BN AP2 6C3 GAP 8 RELU", RGB, {}),
        ("4C3 MP2 4C3s2v", TaskSpec((12, 12), 3, "standard"), {"activation": "gelu", "l2": 1e-3, "activity_l1": 1e-3}),
        ("", GREY, {}),
        ("4C3 MP2 8", RGB, {"tta": TTA}),
    ],
)
def test_a_network_of_keras_own_layers_gives_the_same(
    toy_spec: dict[str, Any], layers: str, task: TaskSpec, changes: dict[str, Any]
) -> None:
    fitted = classifier(toy_spec, layers, task, **changes)
    found = graph([[fitted]], ALONE).predict(shaped(task), verbose=0)
    known = fitted.predict_proba(images_of(task))
    assert np.abs(found - known).max() < 1e-4
    assert known.std(axis=0).min() > 0.05, "every image is another one"


def test_only_unsure_images_get_the_mean_of_their_copies(toy_spec: dict[str, Any]) -> None:
    fitted = classifier(toy_spec, "4C3 MP2 8", tta=TTA)
    plain = fitted.probabilities(IMAGES[:60])
    moved = np.abs(graph([[fitted]], ALONE).predict(shaped(GREY), verbose=0) - plain).max(axis=1) > 1e-5
    sure = plain.max(axis=1) >= 0.997
    assert 5 < sure.sum() < 55
    assert not moved[sure].any()
    assert moved[~sure].all()


@pytest.mark.parametrize("combination", BLENDS, ids=["mean", "mean of logits", "stack"])
def test_members_are_combined_as_in_the_blend(toy_spec: dict[str, Any], combination: Combination) -> None:
    first, second, third = (classifier(toy_spec, "4C3 MP2 8", seed=seed) for seed in range(3))
    found = graph([[first, second], [third]], combination).predict(shaped(GREY), verbose=0)
    one, two, three = (unit.predict_proba(IMAGES[:60]) for unit in (first, second, third))
    assert np.abs(found - combination([(one + two) / 2, three])).max() < 1e-4


def test_a_member_without_a_weight_is_left_out(toy_spec: dict[str, Any]) -> None:
    fitted = classifier(toy_spec, "4C3 MP2 8")
    combined = graph([[], [fitted]], WeightedMean(np.array([0.0, 1.0]), LOGITS)).predict(shaped(GREY), verbose=0)
    assert np.abs(combined - fitted.predict_proba(IMAGES[:60])).max() < 1e-4


@pytest.mark.parametrize(
    ("task", "combination", "changes"), [(GREY, BLENDS[1], {}), (RGB, STACK, {"tta": TTA})], ids=["plain", "TTA"]
)
def test_every_format_gives_the_same_for_any_number_of_images(
    toy_spec: dict[str, Any], task: TaskSpec, combination: Combination, changes: dict[str, Any], tmp_path: Path
) -> None:
    first = classifier(toy_spec, "4C3v BN MP2 D0.3 8", task, **changes)
    second = classifier(toy_spec, "4C3s2 AP2 8 RELU", task, 1, **changes)
    model = graph([[first], [second]], combination)
    known = combination([unit.predict_proba(images_of(task)) for unit in (first, second)])
    for ending in NETWORK_FORMATS:
        predict = write_network(model, tmp_path / f"model{ending}")
        assert predict is not None
        for count in (60, 1):
            found, tolerance = predict(shaped(task)[:count]), 1e-2 if "float16" in ending else 1e-4
            assert np.abs(found - known[:count]).max() < tolerance, ending
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.abs(loaded.predict(shaped(task), verbose=0) - known).max() < 1e-4


def test_a_layer_that_keras_does_not_have_is_named(toy_spec: dict[str, Any]) -> None:
    class Odd(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    fitted = classifier(toy_spec, "4C3 MP2 8")
    fitted.model_ = keras.Sequential([keras.Input((12, 12, 1)), Odd()])
    with pytest.raises(UserError, match="layer Odd is not one of Keras' own"):
        graph([[fitted]], ALONE)


@pytest.mark.parametrize("transform", [{}, *TTA, {"rotation": 40.0, "zoom": 0.3, "shift": (0.5, 9.0)}], ids=str)
def test_a_transform_is_four_pixels_and_their_weights(transform: dict[str, Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 31, 37)).astype(np.uint8)
    indices, weights = taps([transform], (31, 37))
    found = (images.reshape(3, -1)[:, indices] * weights).sum(axis=2)
    assert np.abs(found.reshape(images.shape) - transform_images(images, **transform)).max() < 1e-3


@pytest.mark.parametrize("name", ["augmented-mlp", "svm", "mlp-64", "logistic", "knn-deskewed", "forest"])
@pytest.mark.parametrize("kind", ["/255", "minmax"])
def test_a_pipeline_of_scikit_learn_alone_gives_the_same(name: str, kind: str, params: Params, tmp_path: Path) -> None:
    forest = {"kind": "extra-trees", "n_components": 5, "n_estimators": 5, "min_samples_leaf": 2}
    specs = {name: spec.model_dump(mode="json") for name, spec in params.baseline.models.items()} | {"forest": forest}
    short = {key: 3 for key in ("max_iter", "epochs") if key in specs[name]}
    fitted: Any = build(specs[name] | short | {"deskew": False}, TaskSpec((12, 12), 3, kind), 0)
    fitted.fit(IMAGES[:180], LABELS[:180])
    found, known = write_pipeline(fitted, tmp_path / "model", 144), fitted.predict_proba(IMAGES[180:])
    types = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    assert not [each for each in types if each.startswith("digits")]
    assert {*found} == {".skops", *([] if name == "svm" else [".onnx"])}
    loaded = skops.io.load(tmp_path / "model.skops", trusted=types)
    for predict in (*found.values(), loaded.predict_proba):
        assert predict is not None
        assert np.abs(predict(IMAGES[180:].astype(np.float32)) - known).max() < 1e-4


def test_a_pipeline_that_deskews_is_kept_as_it_is(params: Params, tmp_path: Path) -> None:
    spec = params.baseline.models["knn-deskewed"].model_dump(mode="json")
    fitted: Any = build(spec, GREY, 0)
    fitted.fit(IMAGES[:180], LABELS[:180])
    found = write_pipeline(fitted, tmp_path / "model", 144)
    assert {*found} == {".skops"}
    loaded = skops.io.load(
        tmp_path / "model.skops", trusted=skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    )
    assert np.array_equal(loaded.predict_proba(IMAGES[180:]), fitted.predict_proba(IMAGES[180:]))
