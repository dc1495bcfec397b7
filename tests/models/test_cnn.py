"""The Keras family: what is built is what was written, and the same seed gives the same bits."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from conftest import toy_images
from digits.config import Params
from digits.errors import UserError
from digits.layers import parse_layers
from digits.models import Setting, build, save
from digits.models.cnn import CnnClassifier, OneCycle, build_network, make_optimizer
from digits.preprocess import Normaliser

SETTING = Setting((12, 12), 3, "/255")
IMAGES, LABELS = toy_images(240, np.random.default_rng(0))


@pytest.fixture
def spec(toy_params: Params) -> dict[str, Any]:
    return toy_params.train.spec.model_dump(mode="json")


def fitted(spec: dict[str, Any], seed: int = 0, setting: Setting = SETTING, **changes: Any) -> CnnClassifier:
    model = build(spec | changes, setting, seed)
    assert isinstance(model, CnnClassifier)
    return model.fit(IMAGES[:180], LABELS[:180])


def test_networks_are_what_was_written() -> None:
    network = build_network(parse_layers("6C5v MP2 BN 8C3s2 AP2 D0.2 10 5"), "tanh", (28, 28), 4)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == [
        "Conv2D", "MaxPooling2D", "BatchNormalization", "Conv2D", "AveragePooling2D", "Dropout", "Flatten", "Dense",
        "Dense", "Dense",
    ]  # fmt: skip
    assert network.output_shape == (None, 4)
    # by hand: 28 -5v-> 24 -MP2-> 12 -s2-> 6 -AP2-> 3
    weights = (25 + 1) * 6 + 4 * 6 + (9 * 6 + 1) * 8 + (3 * 3 * 8 + 1) * 10 + (10 + 1) * 5 + (5 + 1) * 4
    assert network.count_params() == weights
    assert network.layers[0].activation is keras.activations.tanh


def test_it_learns_and_tells_about_it(spec: dict[str, Any]) -> None:
    told: list[tuple[int, int]] = []
    spec |= {"epochs": 12, "augment": dict.fromkeys(spec["augment"], 0.0), "learning_rate": 0.02}
    model = build(spec, SETTING, 0, lambda epoch, epochs, record: told.append((epoch, epochs)))
    assert isinstance(model, CnnClassifier)
    probabilities = model.fit(IMAGES[:180], LABELS[:180]).predict_proba(IMAGES[180:])
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == LABELS[180:]).mean() > 0.95
    assert told == [(epoch, 12) for epoch in range(1, 13)]
    assert [set(record) for record in model.history_] == [{"loss", "accuracy", "learning_rate"}] * 12
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


def test_the_same_seed_gives_the_same_bits_whatever_went_before(spec: dict[str, Any]) -> None:
    first = fitted(spec, layers="4C3 BN MP2 D0.3 8").predict_proba(IMAGES)
    fitted(spec, seed=5, layers="8C3 16")
    again = fitted(spec, layers="4C3 BN MP2 D0.3 8").predict_proba(IMAGES)
    other = fitted(spec, seed=1, layers="4C3 BN MP2 D0.3 8").predict_proba(IMAGES)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_prediction_does_not_depend_on_its_neighbours(spec: dict[str, Any]) -> None:
    model = fitted(spec)
    assert np.allclose(model.predict_proba(IMAGES[:7]), model.predict_proba(IMAGES)[:7], atol=1e-6)


def test_small_sets_get_their_steps(spec: dict[str, Any]) -> None:
    model = fitted(spec, epochs=1, min_steps=50, batch_size=64)
    assert len(model.history_) == 25  # 180 images are 2 whole batches of 64


def test_weights_that_are_saved_rebuild_the_network(spec: dict[str, Any], tmp_path: Path) -> None:
    model = fitted(spec)
    save(spec, model, tmp_path)
    network = build_network(parse_layers(spec["layers"]), spec["activation"], (12, 12), 3)
    network.load_weights(tmp_path / "model.weights.h5")
    for kept, loaded in zip(model.model_.get_weights(), network.get_weights(), strict=True):
        assert np.array_equal(kept, loaded)
    with np.load(tmp_path / "normaliser.npz") as kept_scale:
        assert kept_scale["scale"] == np.float32(1 / 255)
    assert "conv2d" in (tmp_path / "model.txt").read_text()


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_training_and_predicting_normalise_alike(spec: dict[str, Any], kind: str) -> None:
    """What the network sees of undistorted images in training is what the fitted normaliser makes of them."""
    model = build(spec | {"augment": dict.fromkeys(spec["augment"], 0.0)}, Setting((12, 12), 3, kind), 0)
    assert isinstance(model, CnnClassifier)
    model.normaliser_ = Normaliser(kind).fit(IMAGES)
    [(images, _)] = list(model._batches(IMAGES[:60], LABELS[:60], 60, 1, 1).as_numpy_iterator())
    order = np.random.default_rng(0).permutation(60)
    assert np.allclose(images.reshape(60, -1), model.normaliser_.transform(IMAGES[:60][order]), atol=1e-4)
    scores = fitted(spec, setting=Setting((12, 12), 3, kind), epochs=6, learning_rate=0.02).predict_proba(IMAGES)
    assert (scores.argmax(axis=1) == LABELS).mean() > 0.6


def test_a_loss_that_is_no_number_stops_the_fit(spec: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"the loss became (nan|inf) in epoch \d+ at a learning rate of .*try a lower one"
    ):
        fitted(spec, setting=Setting((12, 12), 3, "none"), optimizer="sgd", learning_rate=10.0, layers="64 64 64")


def test_augmented_batches_keep_labels_and_differ(spec: dict[str, Any]) -> None:
    """The batches that the network sees: every image with its own distortion, its own label, within 0..1."""
    model = build(spec | {"batch_size": 60}, SETTING, 0)
    assert isinstance(model, CnnClassifier)
    model.normaliser_ = Normaliser("/255").fit(IMAGES)
    one_image = np.repeat(IMAGES[:1], 60, axis=0)
    [(images, labels)] = list(model._batches(one_image, np.arange(60) % 3, 60, 1, 1).as_numpy_iterator())
    assert images.shape == (60, 12, 12, 1) and images.dtype == np.float32
    assert labels.sum() == 60
    assert images.min() >= 0 and images.max() <= 1
    assert len(np.unique(images.reshape(60, -1), axis=0)) == 60
    model.augment = dict.fromkeys(spec["augment"], 0.0)
    [(images, labels)] = list(model._batches(IMAGES[:60], LABELS[:60], 60, 1, 1).as_numpy_iterator())
    order = np.random.default_rng(0).permutation(60)
    assert np.allclose(images.reshape(60, -1), IMAGES[:60][order] / 255, atol=1e-5)
    assert np.array_equal(labels.argmax(axis=1), LABELS[:60][order])


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    schedule = OneCycle(peak=0.01, warm_up=0.25, steps=100)
    rates = [float(schedule(step)) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[25] == pytest.approx(0.01)
    assert rates[-1] < 1e-5
    assert rates[:26] == sorted(rates[:26]) and rates[25:] == sorted(rates[25:], reverse=True)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "nadam"])
def test_every_optimizer_of_params_exists(name: str) -> None:
    assert type(make_optimizer(name, 0.1)).__name__.lower() == name
