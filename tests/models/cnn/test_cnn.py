"""The Keras family: what is built is what was written, and the same seed gives the same bits."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any, get_args

import joblib
import numpy as np
import pytest

from digits.common.errors import UserError
from digits.config import Params
from digits.config.networks import Activation, OptimizerName
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import Setting, build, save
from digits.models.architecture import parse_layers
from digits.models.augmentation import distort
from digits.models.cnn import CnnClassifier
from digits.models.cnn.batches import Batches
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.loop import compiled_step, train
from digits.models.cnn.network import ByteDropout, FusedBatchNormalization, Style, build_network
from digits.models.cnn.optimization import OneCycle, make_optimizer, make_schedule
from digits.models.preprocessing import Normaliser
from toys import toy_images

SETTING = Setting((12, 12), 3, "/255")
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True}
STILL = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0}
PLAIN = Style("relu", "glorot_uniform", 0.0, 0.0, 0.0, "float32")
IMAGES, LABELS = toy_images(240, np.random.default_rng(0))


@pytest.fixture
def spec(toy_params: Params) -> dict[str, Any]:
    return toy_params.train.spec.model_dump(mode="json")


def fitted(spec: dict[str, Any], seed: int = 0, setting: Setting = SETTING, **changes: Any) -> CnnClassifier:
    model = build(spec | changes, setting, seed)
    assert isinstance(model, CnnClassifier)
    return model.fit(IMAGES[:180], LABELS[:180])


def test_networks_are_what_was_written() -> None:
    network = build_network(
        parse_layers("6C5v MP2 BN 8C3s2 AP2 D0.2 10 5"), replace(PLAIN, activation="tanh"), (28, 28), 4
    )
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == [
        "Conv2D", "MaxPooling2D", "Activation", "FusedBatchNormalization", "Conv2D", "Activation", "AveragePooling2D",
        "ByteDropout", "Flatten", "Dense", "Dense", "Dense",
    ]  # fmt: skip
    assert network.output_shape == (None, 4)
    # by hand: 28 -5v-> 24 -MP2-> 12 -s2-> 6 -AP2-> 3
    weights = (25 + 1) * 6 + 4 * 6 + (9 * 6 + 1) * 8 + (3 * 3 * 8 + 1) * 10 + (10 + 1) * 5 + (5 + 1) * 4
    assert network.count_params() == weights
    assert {layer.activation.__name__ for layer in network.layers if hasattr(layer, "activation")} == {"linear", "tanh"}


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activation_and_pooling_give_what_keras_gives_in_the_order_written(activation: str) -> None:
    """Outputs and gradients of convolution, activation, pooling as Keras' own layers compute them."""
    layers = "4C3 MP2 6C3 AP2 5C3 BN MP2 8"
    network = build_network(parse_layers(layers), replace(PLAIN, activation=activation), (24, 24), 3)
    written = keras.Sequential(
        [
            keras.Input((24, 24, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation=activation),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(6, 3, padding="same", activation=activation),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(5, 3, padding="same", activation=activation),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation=activation),
            keras.layers.Dense(3),
        ]
    )
    written.set_weights(network.get_weights())
    # bright enough for values below -0.75, from where gelu falls as they rise
    images = tf.constant(10 * np.random.default_rng(0).random((5, 24, 24, 1), np.float32))
    found = []
    for model in (network, written):
        with tf.GradientTape() as tape:
            logits = model(images, training=False)
            loss = tf.reduce_sum(logits**2)
        found.append([logits, *tape.gradient(loss, model.trainable_variables)])
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_it_learns_and_tells_about_it(spec: dict[str, Any]) -> None:
    told: list[tuple[int, int]] = []
    spec |= {"epochs": 12, "augment": STILL, "learning_rate": 0.02}
    model = build(spec, SETTING, 0, lambda epoch, epochs, record: told.append((epoch, epochs)))
    assert isinstance(model, CnnClassifier)
    probabilities = model.fit(IMAGES[:180], LABELS[:180]).predict_proba(IMAGES[180:])
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == LABELS[180:]).mean() > 0.95
    assert told == [(epoch, 12) for epoch in range(1, 13)]
    assert [set(record) for record in model.history_] == [{"loss", "accuracy", "learning_rate"}] * 12
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_same_seed_gives_the_same_bits_whatever_went_before(spec: dict[str, Any], precision: str) -> None:
    spec |= {"layers": "4C3 BN MP2 D0.3 8", "precision": precision}
    first = fitted(spec).predict_proba(IMAGES)
    fitted(spec, seed=5, layers="8C3 16")
    again = fitted(spec).predict_proba(IMAGES)
    other = fitted(spec, seed=1).predict_proba(IMAGES)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_prediction_does_not_depend_on_its_neighbours(spec: dict[str, Any]) -> None:
    model = fitted(spec)
    assert np.allclose(model.predict_proba(IMAGES[:7]), model.predict_proba(IMAGES)[:7], atol=1e-6)


def test_the_network_stands_in_the_log(spec: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "digits"):
        fitted(spec, layers="4C3 MP2 8")
    assert "conv2d" in caplog.text and "(None, 12, 12, 4)" in caplog.text and "Total params: 1," in caplog.text


def test_small_sets_get_their_steps(spec: dict[str, Any]) -> None:
    model = fitted(spec, epochs=1, min_steps=50, batch_size=64)
    assert len(model.history_) == 25  # 180 images are 2 whole batches of 64


def test_weights_that_are_saved_rebuild_the_network(spec: dict[str, Any], tmp_path: Path) -> None:
    model = fitted(spec)
    save(spec, model, tmp_path)
    network = build_network(parse_layers(spec["layers"]), PLAIN, (12, 12), 3)
    network.load_weights(tmp_path / "model.weights.h5")
    for kept, loaded in zip(model.model_.get_weights(), network.get_weights(), strict=True):
        assert np.array_equal(kept, loaded)
    with np.load(tmp_path / "scales.npz") as scales:
        assert scales["scale"] == np.float32(1 / 255) and scales["temperature"] == model.temperature_


def batches(normalise: str = "/255", images: np.ndarray = IMAGES[:60], **changes: Any) -> Batches:
    made = Batches(
        images=images,
        labels=LABELS[:60],
        normaliser=Normaliser(normalise).fit(IMAGES),
        image_shape=(12, 12),
        classes=3,
        augment=STILL,
        shift_only=0.0,
        batch_size=20,
        seed=0,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("kind", ["/255", "standard", "minmax"])
def test_training_and_predicting_normalise_alike(spec: dict[str, Any], kind: str) -> None:
    """What the network sees of undistorted images in training is what the fitted normaliser makes of them."""
    source = batches(kind)
    for (images, labels), rows in zip(source.stream(2), source.rows(2), strict=True):
        assert images.shape == (20, 12, 12, 1) and images.dtype == np.float32
        expected = source.normaliser.transform(IMAGES[rows])
        assert np.allclose(images.numpy().reshape(20, -1), expected, atol=1e-5 * np.abs(expected).max())
        assert np.array_equal(labels.argmax(axis=1), LABELS[rows]) and labels.sum() == 20
    scores = fitted(spec, setting=Setting((12, 12), 3, kind), epochs=6, learning_rate=0.02).predict_proba(IMAGES)
    assert (scores.argmax(axis=1) == LABELS).mean() > 0.6


def test_a_loss_that_is_no_number_stops_the_fit(spec: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"the loss became (nan|inf) in epoch 1, step [1-9], at a learning rate of .*try a lower one"
    ):
        fitted(spec, setting=Setting((12, 12), 3, "none"), optimizer=SGD, learning_rate=10.0, layers="64 64 64")


@pytest.mark.parametrize("broken", [0, 19, 24, 42])
def test_the_step_that_broke_is_named_and_no_step_is_taken_long_after(broken: int) -> None:
    """Batches whose labels are no numbers from step `broken` on, counted from 0; 25 steps an epoch."""
    taken: list[int] = []

    def batches() -> Iterator[tuple[Any, Any]]:
        for step in range(75):
            taken.append(step)
            yield tf.fill((8, 12, 12, 1), 0.5), tf.fill((8, 3), np.nan if step >= broken else 0.3)

    network = build_network(parse_layers("8"), PLAIN, (12, 12), 3)
    with pytest.raises(
        UserError, match=rf"became nan in epoch {broken // 25 + 1}, step {broken + 1}, at a .* of 0.001;"
    ):
        train(network, keras.optimizers.SGD(0.001), batches(), 25, label_smoothing=0.0, callbacks=[])
    assert taken[-1] < broken + 20


def test_the_seconds_of_steps_have_no_waiting_in_them() -> None:
    """60 steps of a millisecond at most, 20 of them not counted, and more than a second of waiting for batches."""

    def batches() -> Iterator[tuple[Any, Any]]:
        for _ in range(60):
            sleep(0.03)
            yield tf.fill((8, 12, 12, 1), 0.5), tf.fill((8, 3), 0.3)

    network = build_network(parse_layers("8"), PLAIN, (12, 12), 3)
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: sleep(0.5))
    seconds = train(network, keras.optimizers.SGD(0.001), batches(), 30, label_smoothing=0.0, callbacks=[told])
    assert 0 < seconds < 0.5


def test_smoothed_labels_do_not_make_it_unsure(spec: dict[str, Any]) -> None:
    """The classes are easy: probabilities are near 1 again where a network that learned from 0.7 says 0.7."""
    model = fitted(spec, layers="64", epochs=60, learning_rate=0.02, label_smoothing=0.45)
    found = model.predict_proba(IMAGES[180:])
    assert (found.argmax(axis=1) == LABELS[180:]).all()
    assert found.max(axis=1).mean() > 0.95
    model.temperature_ = 1.0
    assert model.predict_proba(IMAGES[180:]).max(axis=1).mean() == pytest.approx(0.7, abs=0.05)


def test_a_fit_is_traced_once(spec: dict[str, Any]) -> None:
    """Whatever is left of an epoch or of the images to predict; a second trace would cost seconds."""
    steps: list[Any] = []

    def kept(*given: Any) -> Any:
        steps.append(compiled_step(*given))
        return steps[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("digits.models.cnn.loop.compiled_step", kept)
        model = watched(spec, batch_size=50, epochs=3)  # 180 images: three batches and a rest of 30
    model.predict_proba(IMAGES[:7])
    model.predict_proba(IMAGES)
    assert [step.experimental_get_tracing_count() for step in steps] == [1]
    assert model.model_.predict_function.experimental_get_tracing_count() == 1


def test_penalties_are_learned_from(spec: dict[str, Any]) -> None:
    free, held = (fitted(spec, layers="16", augment=STILL, epochs=12, learning_rate=0.02, l2=l2) for l2 in (0.0, 0.1))
    sizes = [float((model.model_.get_weights()[0] ** 2).sum()) for model in (free, held)]
    assert sizes[1] < 0.2 * sizes[0]
    assert held.history_[0]["loss"] > free.history_[0]["loss"] + 0.1


def test_an_epoch_takes_every_image_once_in_an_order_of_its_own() -> None:
    first, second = batches().rows(2).reshape(2, 60)
    assert sorted(first) == sorted(second) == list(range(60))
    assert not np.array_equal(first, second)
    assert batches(batch_size=25).rows(3).shape == (6, 25)  # two whole batches an epoch


@pytest.mark.parametrize(
    "augment", [{"rotation": 10.0}, {"zoom": 0.1}, {"shear": 9.0}, {"shift": 1.0}, {"elastic": 0.8}]
)
def test_every_image_of_a_batch_is_distorted_in_its_own_way(augment: dict[str, float]) -> None:
    source = batches(images=np.repeat(IMAGES[:1], 60, axis=0), augment=STILL | augment, batch_size=60)
    seen = np.concatenate([images.numpy().reshape(60, -1) for images, _ in source.stream(2)])
    assert len(np.unique(seen, axis=0)) == 120
    assert seen.min() >= 0 and seen.max() <= 1


@pytest.mark.parametrize("elastic", [0.0, 0.7])
def test_a_share_of_every_batch_stays_sharp(elastic: float) -> None:
    """Three images in ten have the very pixels of a labelled one, in other places; no other image has them."""
    images = np.zeros((60, 12, 12), np.uint8)
    images[:, 3:-3, 3:-3] = np.random.default_rng(1).integers(1, 256, (60, 6, 6))
    augment = STILL | {"rotation": 10.0, "shift": 2.0, "elastic": elastic}
    source = batches("none", images=images.reshape(60, -1), augment=augment, shift_only=0.3)
    known = {tuple(np.sort(image.ravel())) for image in images}
    drawn = []
    for step, _ in source.stream(2):
        kept = [image for image in step.numpy() if tuple(np.sort(image.ravel()).astype(int)) in known]
        assert len(kept) == 6
        drawn += kept
    corners = {tuple(np.argwhere(image.squeeze())[0]) for image in drawn}
    assert {row for row, _ in corners} == {column for _, column in corners} == {1, 2, 3, 4, 5}


def test_a_batch_follows_from_seed_and_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made together with it; the last step of 15 stands in a group that it does not fill."""
    source = batches(augment=STILL | {"rotation": 10.0, "elastic": 0.5})
    once, again = ([images for images, _ in source.stream(5)] for _ in range(2))
    monkeypatch.setattr("digits.models.cnn.batches._AT_ONCE", 80)
    others = [images for images, _ in source.stream(5)]
    assert len(once) == len(again) == len(others) == 15
    assert all(np.array_equal(first, second) for first, second in zip(once, again, strict=True))
    assert all(np.allclose(first, second, atol=1e-5) for first, second in zip(once, others, strict=True))
    assert not np.allclose(once[0], replace(source, seed=1)._make(source.rows(1)[0], [0]), atol=0.1)


@pytest.mark.parametrize("elastic", [0.0, 3.0])
def test_tensorflow_distorts_as_numpy_does(elastic: float) -> None:
    """Odd sizes, parts of images outside the frame, other rows than the first: to a thousandth of the 255 shades."""
    images = np.random.default_rng(0).integers(0, 256, (40, 11 * 17), dtype=np.uint8)
    augment = {"rotation": 40.0, "zoom": 0.4, "shear": 20.0, "shift": 9.0, "elastic": elastic}
    source = batches(images=images, image_shape=(11, 17), augment=augment, normaliser=Normaliser("none").fit(images))
    rows = np.arange(39, 9, -1)
    made = source._make(rows, [4])
    expected = distort(np.random.default_rng((0, 4)), images[rows].reshape(-1, 11, 17), **augment)
    assert np.abs(made.numpy()[..., 0] - expected).max() < 0.02
    assert (expected == 0).mean() > 0.1


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    schedule = OneCycle(peak=0.01, warmup=0.25, steps=100)
    rates = [float(schedule(step)) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[25] == pytest.approx(0.01)
    assert rates[-1] < 1e-5
    assert rates[:26] == sorted(rates[:26]) and rates[25:] == sorted(rates[25:], reverse=True)


def moved(optimizer: Any, kernel: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """What a variable of this value is after a step for each gradient."""
    variable = keras.Variable(kernel, dtype="float32")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
    return np.asarray(variable.numpy())


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_muon_moves_a_convolution_as_far_in_every_direction() -> None:
    """Singular values of its step, in lengths of the paper's scale; those of the gradient are a hundred times apart."""
    left, _, right = np.linalg.svd(drawn(3 * 3 * 8, 16), full_matrices=False)
    gradient = (left * np.geomspace(1, 0.01, 16)) @ right
    start = np.zeros((3, 3, 8, 16), np.float32)
    step = -moved(optimizer({"name": "muon"}, 0.1), start, [gradient.reshape(start.shape)])
    values = np.linalg.svd(step.reshape(72, 16), compute_uv=False) / (0.1 * 0.2 * 72**0.5)
    assert values.max() < 1.3 and values.min() > 0.2 and values.max() / values.min() < 6


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (72, 16), (8, 40)])
def test_muon_is_that_of_keras_for_the_matrix_of_a_kernel(shape: tuple[int, ...]) -> None:
    kernel, gradients = drawn(*shape), [drawn(2, *shape)[each] for each in (0, 1)]
    ours = moved(optimizer({"name": "muon"}, 0.01), kernel, gradients)
    flat = (-1, shape[-1])
    keras_own = keras.optimizers.Muon(0.01, ns_steps=3)
    theirs = moved(keras_own, kernel.reshape(flat), [gradient.reshape(flat) for gradient in gradients])
    assert np.allclose(ours.reshape(flat), theirs, atol=1e-5)
    assert np.abs(ours - kernel).max() > 1e-3


def test_muon_leaves_what_is_no_hidden_layer_to_adamw() -> None:
    network = build_network(parse_layers("4C3 MP2 8C3 16"), PLAIN, (12, 12), 3)
    muon = optimizer({"name": "muon"})
    left = [bool(muon._should_use_adamw(variable)) for variable in network.trainable_variables]
    kernel, bias, hidden = True, True, False
    assert left == [kernel, bias, hidden, bias, hidden, bias, kernel, bias]


CLASSES = {
    "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta", "adam": "Adam", "adamax": "Adamax",
    "nadam": "Nadam", "adamw": "AdamW", "lion": "Lion", "muon": "Muon", "schedule-free-adamw": "ScheduleFreeAdamW",
}  # fmt: skip


def optimizer(name: dict[str, Any], rate: Any = 0.1, **changes: Any) -> Any:
    nothing = {"weight_decay": None, "clipnorm": None, "clipvalue": None, "ema_momentum": None}
    return make_optimizer(name, rate, **nothing | changes)


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_every_optimizer_of_params_exists_and_learns(name: str, spec: dict[str, Any]) -> None:
    chosen = SGD if name == "sgd" else {"name": name}
    assert type(optimizer(chosen)).__name__ == CLASSES.get(name, "SGD")
    rate = {"adadelta": 1.0, "adagrad": 0.1, "lion": 0.002}.get(name, 0.02)
    model = fitted(spec, optimizer=chosen, learning_rate=rate, epochs=8, layers="MP2 16", augment=STILL)
    assert (model.predict_proba(IMAGES).argmax(axis=1) == LABELS).mean() > 0.8


def test_the_parameters_of_an_optimizer_arrive() -> None:
    sgd = optimizer(SGD, 0.01, clipnorm=1.5, ema_momentum=0.9, weight_decay=0.02)
    assert (sgd.momentum, sgd.nesterov, sgd.clipnorm, sgd.weight_decay) == (0.9, True, 1.5, 0.02)
    assert (sgd.use_ema, sgd.ema_momentum) == (True, 0.9)
    assert optimizer({"name": "adam"}, clipvalue=0.5).clipvalue == 0.5
    muon = optimizer({"name": "muon"}, weight_decay=0.1)
    assert (muon.weight_decay, muon.adam_weight_decay) == (0.1, 0.1)
    assert optimizer({"name": "adamw"}).weight_decay == keras.optimizers.AdamW().weight_decay


def test_schedules_are_what_their_names_say() -> None:
    steps = np.arange(101)
    inverse = make_schedule({"kind": "inverse-time", "decay": 0.1}, 0.2, 100)
    assert np.allclose([float(inverse(step)) for step in steps], 0.2 / (1 + 0.1 * steps), rtol=1e-5)
    cosine = make_schedule({"kind": "cosine"}, 0.2, 100)
    assert np.allclose([float(cosine(step)) for step in steps], 0.1 * (1 + np.cos(np.pi * steps / 100)), atol=1e-6)
    assert make_schedule({"kind": "constant"}, 0.2, 100) == 0.2


def test_a_plateau_lowers_the_learning_rate(spec: dict[str, Any]) -> None:
    """With no rate to learn by, nothing improves: every third epoch brings a lower one."""
    schedule = {"kind": "plateau", "factor": 0.5, "patience": 2}
    model = watched(spec, schedule=schedule, learning_rate=1e-12, epochs=8)
    rates = [record["learning_rate"] for record in model.history_]
    assert rates == pytest.approx([1e-12 * 0.5 ** max(0, (epoch - 1) // 2) for epoch in range(8)], rel=1e-4)


def watched(spec: dict[str, Any], **changes: Any) -> CnnClassifier:
    """Fitted with 60 images to look at."""
    model = build(spec | changes, SETTING, 0)
    assert isinstance(model, CnnClassifier)
    return model.fit(IMAGES[:180], LABELS[:180], IMAGES[180:], LABELS[180:])


def test_what_is_looked_at_after_each_epoch_stands_in_the_history_and_changes_nothing(spec: dict[str, Any]) -> None:
    looked, alone = watched(spec, layers="4C3 BN 8 D0.2"), fitted(spec, layers="4C3 BN 8 D0.2")
    assert np.array_equal(looked.predict_proba(IMAGES), alone.predict_proba(IMAGES))
    looked.temperature_ = 1.0  # what is looked at are the network's own probabilities
    last = looked.predict_proba(IMAGES[180:])
    assert looked.history_[-1]["valid_accuracy"] == accuracy(last, LABELS[180:]).value
    assert looked.history_[-1]["valid_loss"] == pytest.approx(log_loss(last, LABELS[180:]))


def test_a_long_fit_looks_five_times_at_most_unless_something_follows_from_it(spec: dict[str, Any]) -> None:
    def looks(**changes: Any) -> list[int]:
        history = watched(spec, layers="8", **changes).history_
        return [epoch for epoch, record in enumerate(history, start=1) if "valid_loss" in record]

    assert looks(epochs=5) == [1, 2, 3, 4, 5]
    assert looks(epochs=20) == [4, 8, 12, 16, 20] and looks(epochs=22) == [2, 7, 12, 17, 22]
    assert looks(epochs=12, patience=12) == [*range(1, 13)]


def test_early_stopping_and_the_best_weights(spec: dict[str, Any]) -> None:
    """What is learned is wrong for what is looked at, which gets worse with every epoch after the first."""
    constant = {"kind": "constant"}
    by_heart = {"layers": "64", "augment": STILL, "schedule": constant, "learning_rate": 0.002, "epochs": 5}

    def losses_and_end(**changes: Any) -> Any:
        model = build(spec | by_heart | changes, SETTING, 0)
        assert isinstance(model, CnnClassifier)
        model.fit(IMAGES[:180], (LABELS[:180] + 1) % 3, IMAGES[180:], LABELS[180:])
        model.temperature_ = 1.0
        end = log_loss(model.predict_proba(IMAGES[180:]), LABELS[180:])
        return [record["valid_loss"] for record in model.history_], end

    losses, end = losses_and_end()
    assert len(losses) == 5 and losses == sorted(losses)
    assert end == pytest.approx(losses[-1])
    assert losses_and_end(restore_best_weights=True) == (losses, pytest.approx(losses[0]))
    assert losses_and_end(patience=3) == (losses[:4], pytest.approx(losses[3]))
    assert losses_and_end(patience=3, restore_best_weights=True) == (losses[:4], pytest.approx(losses[0]))


def test_label_smoothing_reaches_the_loss(spec: dict[str, Any]) -> None:
    """The least loss with a share s spread over k classes is the entropy of what is asked for."""
    model = fitted(spec, layers="64", augment=STILL, label_smoothing=0.3, epochs=60, learning_rate=0.02)
    asked = np.array([0.8, 0.1, 0.1])
    assert model.history_[-1]["loss"] == pytest.approx(-(asked * np.log(asked)).sum(), abs=0.02)


@pytest.mark.parametrize("change", [{"patience": 3}, {"restore_best_weights": True}])
def test_stopping_needs_something_to_look_at(spec: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need images to look at"):
        fitted(spec, **change)


def test_the_average_takes_the_place_of_the_last_weights(spec: dict[str, Any]) -> None:
    """Of the weights after each step: w <- 0.9 w + 0.1 new, starting with those after the first."""
    seen: list[np.ndarray] = []

    class Keep(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights()[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("digits.models.cnn.classifier.callbacks", lambda *_: [Keep()])
        model = fitted(spec, layers="8", ema_momentum=0.9, epochs=20, batch_size=180)  # one step per epoch
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.9 * expected + 0.1 * weights
    assert np.allclose(model.model_.get_weights()[0], expected, atol=1e-5)
    assert not np.allclose(seen[-1], expected, atol=1e-4)


def test_penalties_reach_the_layers_they_are_for() -> None:
    style = replace(PLAIN, l1=0.1, l2=0.2, activity_l1=0.3, kernel_initializer="he_normal")
    network = build_network(parse_layers("4C3 MP2 8"), style, (12, 12), 3)
    convolution, dense, last = (layer for layer in network.layers if hasattr(layer, "kernel"))
    for layer in (convolution, dense, last):
        assert layer.kernel_regularizer.get_config() == {"l1": pytest.approx(0.1), "l2": pytest.approx(0.2)}
        assert type(layer.kernel_initializer).__name__ == "HeNormal"
    assert dense.activity_regularizer is not None
    assert convolution.activity_regularizer is None and last.activity_regularizer is None
    network.build((None, 12, 12, 1))
    kernel = convolution.kernel.numpy()
    assert float(convolution.losses[0]) == pytest.approx(0.1 * np.abs(kernel).sum() + 0.2 * (kernel**2).sum(), rel=1e-4)


@pytest.mark.parametrize("shape", [(16, 6, 5, 4), (32, 7)])
def test_fused_batch_normalisation_is_keras_own(shape: tuple[int, ...]) -> None:
    """Outputs, gradients and the running mean; the running variance is the sample's, n / (n - 1) of Keras'."""
    generator = np.random.default_rng(0)
    inputs = tf.constant(generator.normal(3, 2, shape), tf.float32)
    weights = tf.constant(generator.normal(0, 1, shape), tf.float32)
    found = []
    for layer in (FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)):
        layer.build(shape)
        layer.gamma.assign(np.arange(1, shape[-1] + 1))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            trained = layer(inputs, training=True)
            loss = tf.reduce_sum(trained * weights)
        gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
        found.append((trained, *gradients, layer.moving_mean.value, layer.moving_variance.value))
    for ours, theirs in zip(found[0][:-1], found[1][:-1], strict=True):
        assert np.allclose(ours, theirs, atol=2e-3)
    count = np.prod(shape[:-1])
    assert np.allclose((found[0][-1] - 0.9) * (count - 1) / count, found[1][-1] - 0.9, rtol=1e-3)
    ours, theirs = FusedBatchNormalization(), keras.layers.BatchNormalization()
    for layer in (ours, theirs):
        layer.build(shape)
        layer.moving_mean.assign(np.arange(shape[-1]))
        layer.moving_variance.assign(np.arange(1, shape[-1] + 1))
    assert np.allclose(ours(inputs, training=False), theirs(inputs, training=False), atol=1e-4)


def test_running_statistics_keep_up_with_a_fit_of_a_hundred_steps() -> None:
    """So that a network predicts as it was trained to: the short fits of a search are the whole of a fit."""
    keras.utils.set_random_seed(0)  # of a unit that hardly ever fires the variance is too small to be found out so soon
    network = build_network(parse_layers("8 BN"), PLAIN, (4, 4), 3)
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (64, 4, 4, 1)), tf.float32)
    for _ in range(100):
        trained = network(images, training=True)
    assert np.allclose(network(images, training=False), trained, atol=0.1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_anew_each_time_and_keeps_the_mean(rate: float) -> None:
    keras.utils.set_random_seed(0)
    layer = ByteDropout(rate)
    ones = tf.ones((50, 7, 7, 41))  # no multiple of four
    once, again = layer(ones, training=True).numpy(), layer(ones, training=True).numpy()
    values, counts = np.unique(once, return_counts=True)
    share = round(256 * rate) / 256
    assert values == pytest.approx([0, 1 / (1 - share)])
    # five standard deviations of a share of 100,450 values
    assert counts[0] / ones.numpy().size == pytest.approx(share, abs=5 * (share * (1 - share) / 100_450) ** 0.5)
    assert once.mean() == pytest.approx(1, abs=0.05)
    assert (once != again).mean() == pytest.approx(2 * share * (1 - share), abs=0.01)
    assert np.array_equal(layer(ones, training=False), ones)
    keras.utils.set_random_seed(0)
    assert np.array_equal(ByteDropout(rate)(ones, training=True), once)


def test_views_are_averaged_and_the_image_itself_is_one_of_them(spec: dict[str, Any]) -> None:
    tta: list[dict[str, Any]] = [{"shift": (0.0, 1.0)}, {"rotation": 10.0, "zoom": 0.1}]
    model = fitted(spec, tta=tta)
    model.temperature_ = 1.0
    alone = [model.probabilities(IMAGES, [one]) for one in ({}, *tta)]
    assert np.allclose(model.predict_proba(IMAGES), np.mean(alone, axis=0), atol=1e-6)
    # to the right by one pixel, done by hand
    moved = np.roll(IMAGES.reshape(-1, 12, 12), 1, axis=2)
    moved[:, :, 0] = 0
    assert np.allclose(alone[1], model.probabilities(moved.reshape(-1, 144)), atol=1e-6)
    assert not np.allclose(alone[0], alone[1], atol=1e-3)


def test_another_number_of_threads_in_the_same_process_is_refused(spec: dict[str, Any]) -> None:
    fitted(spec, epochs=1)
    with pytest.raises(UserError, match=r"train\.threads = 5, but TensorFlow computes with another number"):
        fitted(spec, threads=5)


_MANY_FITS = """
import gc, json, re, sys
from pathlib import Path
import numpy as np
from digits.models import Setting, build
from digits.models.cnn import libraries
gc.freeze()  # the libraries, through which thirty collections would go
spec, sizes = json.loads(sys.argv[1]), []
images = np.random.default_rng(0).integers(0, 256, (180, 144), dtype=np.uint8)
for seed in range(30):
    model = build(spec, Setting((12, 12), 3, "/255"), seed)
    model.fit(images, np.arange(180) % 3, images[:60], np.arange(60) % 3).predict_proba(images)
    sizes.append(int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
print(json.dumps(sizes))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident size is read where Linux tells it")
def test_memory_does_not_grow_over_thirty_fits(spec: dict[str, Any]) -> None:
    spec |= {"layers": "4C3 BN MP2 D0.2 8", "epochs": 1}
    command = [sys.executable, "-c", _MANY_FITS, json.dumps(spec)]
    sizes = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert sizes[-1] < 1.1 * sizes[4]


_ONE_CONVOLUTION = """
import numpy as np
from digits.models.cnn.libraries import tf
tf.nn.conv2d(np.zeros((4, 8, 8, 8), np.float32), np.zeros((3, 3, 8, 8), np.float32), 1, "SAME")
"""


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="others have libraries of their own")
def test_convolutions_are_those_of_onednn_on_every_processor() -> None:
    plain = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    told = subprocess.run(
        [sys.executable, "-c", _ONE_CONVOLUTION],
        env=plain | {"ONEDNN_VERBOSE": "1"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "exec,cpu,convolution," in told


def test_a_relu_of_the_final_layer_is_one_of_what_the_softmax_sees() -> None:
    keras.utils.set_random_seed(0)
    plain, cut = (build_network(parse_layers(text), PLAIN, (12, 12), 3) for text in ("8", "8 RELU"))
    cut.set_weights(plain.get_weights())
    images = np.random.default_rng(0).random((50, 12, 12, 1), np.float32)
    logits = plain.predict_on_batch(images)
    assert logits.min() < 0 < logits.max()
    assert np.array_equal(cut.predict_on_batch(images), np.maximum(logits, 0))


def test_mixed_precision_keeps_weights_and_logits_in_float32(spec: dict[str, Any]) -> None:
    network = build_network(parse_layers("4C3 BN MP2 D0.1 8"), replace(PLAIN, precision="mixed_bfloat16"), (12, 12), 3)
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.layers[0].compute_dtype == "bfloat16" and network.layers[-1].compute_dtype == "float32"
    half: dict[str, Any] = {"precision": "mixed_bfloat16", "layers": "4C3 BN MP2 8", "epochs": 8, "learning_rate": 0.02}
    probabilities = fitted(spec, **half, augment=STILL).predict_proba(IMAGES)
    assert probabilities.dtype == np.float32
    assert (probabilities.argmax(axis=1) == LABELS).mean() > 0.9


def test_a_worker_gives_the_same_bits_as_a_process_alone(spec: dict[str, Any]) -> None:
    """Two fits at the same time in processes of their own, and the same two here, one after the other."""
    specs = [spec | {"layers": layers} for layers in ("4C3 BN MP2 D0.2 8", "6C3 8")]
    beside = joblib.Parallel(n_jobs=2)(joblib.delayed(_probabilities)(each) for each in specs)
    for each, found in zip(specs, beside, strict=True):
        assert np.array_equal(_probabilities(each), found)


def _probabilities(spec: dict[str, Any]) -> np.ndarray:
    return fitted(spec).predict_proba(IMAGES)
