"""The Keras classifier: it learns, the same seed gives the same bits, and what it saves rebuilds it."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from digits.common.processes import _context
from digits.config import Params
from digits.config.networks import TtaView
from digits.data.practice import practice_files
from digits.models import TaskSpec, build, load, save
from digits.training.crossval import preload
from toy_networks import IMAGES, LABELS, NO_AUGMENTATION, TASK, build_toy, fit_and_predict, fit_toy, fit_validated
from toys import coloured_images

pytestmark = pytest.mark.slow


def test_it_learns_and_reports_every_epoch(toy_spec: dict[str, Any]) -> None:
    reported: list[tuple[int, int]] = []
    toy_spec |= {"epochs": 12, "augment": NO_AUGMENTATION, "learning_rate": 0.02}
    model: Any = build(toy_spec, TASK, 0, lambda epoch, epochs, record: reported.append((epoch, epochs)))
    probabilities = model.fit(IMAGES[:180], LABELS[:180]).predict_proba(IMAGES[180:])
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == LABELS[180:]).mean() > 0.95
    assert reported == [(epoch, 12) for epoch in range(1, 13)]
    assert [set(record) for record in model.history_] == [{"loss", "accuracy", "learning_rate"}] * 12
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_same_seed_gives_the_same_bits(toy_spec: dict[str, Any], precision: str) -> None:
    """Another fit in between changes nothing."""
    toy_spec |= {"layers": "4C3 BN MP2 D0.3 8", "precision": precision}
    first, other, again = (fit_toy(toy_spec, seed).predict_proba(IMAGES) for seed in (0, 1, 0))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_parallel_processes_give_the_same_bits_as_one(toy_spec: dict[str, Any]) -> None:
    """Two networks, fitted at the same time in processes of their own and here one after the other."""
    specs = [toy_spec | {"layers": layers} for layers in ("4C3 BN MP2 D0.2 8", "6C3 8")]
    context = _context(preload("cnn"))
    both_started = context.Barrier(2).wait
    with ProcessPoolExecutor(2, context, initializer=both_started, max_tasks_per_child=1) as pool:
        parallel = [*pool.map(fit_and_predict, specs)]
    for one, found in zip(specs, parallel, strict=True):
        assert np.array_equal(fit_and_predict(one), found)


def test_a_prediction_does_not_depend_on_its_batch(toy_spec: dict[str, Any]) -> None:
    model = fit_toy(toy_spec)
    assert np.allclose(model.predict_proba(IMAGES[:7]), model.predict_proba(IMAGES)[:7], atol=1e-6)


def test_the_log_has_the_network(toy_spec: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "digits"):
        fit_toy(toy_spec, layers="4C3 MP2 8")
    assert "conv2d" in caplog.text
    assert "(None, 12, 12, 4)" in caplog.text
    assert "Total params: 1," in caplog.text


def test_min_steps_adds_epochs_to_small_sets(toy_spec: dict[str, Any]) -> None:
    model = fit_toy(toy_spec, epochs=1, min_steps=50, batch_size=64)
    assert len(model.history_) == 25  # 180 images are 2 full batches of 64


def test_what_is_saved_rebuilds_the_network(toy_spec: dict[str, Any], tmp_path: Path) -> None:
    model = fit_toy(toy_spec)
    save(toy_spec, model, tmp_path)
    again = load(toy_spec, TaskSpec((12, 12), 3, "/255"), tmp_path)
    assert np.array_equal(again.predict_proba(IMAGES), model.predict_proba(IMAGES))


@pytest.mark.parametrize("kind", ["one-cycle", "plateau"])
def test_a_network_fitted_in_float16_is_the_same_when_it_is_loaded(
    toy_spec: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    """Its weights are float32, so that other programs get it in float32, as `make export` writes it."""
    schedule = {"one-cycle": {"warmup": 0.25}, "plateau": {"factor": 0.1, "patience": 0}}[kind]
    rate = {"one-cycle": 0.02, "plateau": 1e-6}[kind]  # too low to get away from a plateau
    toy_spec |= {"precision": "mixed_float16", "layers": "4C3 BN MP2 D0.1 8", "epochs": 4, "learning_rate": rate}
    model = fit_validated(toy_spec | {"schedule": {"kind": kind, **schedule}, "optimizer": {"name": "muon"}})
    rates = [entry["learning_rate"] for entry in model.history_]
    assert rates[-1] < rates[0]
    known = model.predict_proba(IMAGES)
    save(toy_spec, model, tmp_path)
    assert np.array_equal(load(toy_spec, TASK, tmp_path).predict_proba(IMAGES), known)
    single: Any = load(toy_spec | {"precision": "float32"}, TASK, tmp_path)
    assert {weight.dtype for weight in single.model_.get_weights()} == {np.dtype(np.float32)}
    assert np.allclose(single.predict_proba(IMAGES), known, atol=0.02)
    assert not np.array_equal(single.predict_proba(IMAGES), known), "it was not computed in float16"


def test_practice_digits_are_learned_in_float16_and_by_xla_as_in_float32(params: Params) -> None:
    """With all that fits of `medium` have: Muon, dropout, smoothing, augmentation."""
    competition = params.competition
    table = pd.read_csv(BytesIO(practice_files(competition)[competition.train_file]))
    pixels, labels = table.drop(columns="label").to_numpy(np.uint8), table["label"].to_numpy(np.int64)
    spec = params.network("medium").model_dump(mode="json") | {"threads": joblib.cpu_count(), "tta": [], "min_steps": 0}
    spec |= {"layers": "8C3v MP2 16C3v MP2 D0.3 64", "epochs": 6, "batch_size": 50, "learning_rate": 0.02}
    scores = {}
    for precision, xla in (("float32", False), ("mixed_float16", False), ("mixed_float16", True)):
        changes = {"precision": precision, "jit_compile": xla}
        model: Any = build(spec | changes, TaskSpec((28, 28), 10, "/255"), 0)
        found = model.fit(pixels[:600], labels[:600]).predict_proba(pixels[600:])
        scores[precision, xla] = (found.argmax(axis=1) == labels[600:]).mean()
    assert min(scores.values()) > 0.85
    assert max(scores.values()) - min(scores.values()) < 0.04


def test_temperature_undoes_label_smoothing(toy_spec: dict[str, Any]) -> None:
    """The classes are easy: probabilities are near 1, where those of the network itself are near the 0.7 it learned."""
    model = fit_toy(toy_spec, layers="64", epochs=60, learning_rate=0.02, label_smoothing=0.45)
    probabilities = model.predict_proba(IMAGES[180:])
    assert (probabilities.argmax(axis=1) == LABELS[180:]).all()
    assert probabilities.max(axis=1).mean() > 0.95
    model.temperature_ = 1.0
    assert model.predict_proba(IMAGES[180:]).max(axis=1).mean() == pytest.approx(0.7, abs=0.05)


def test_tta_averages_over_the_image_and_its_transforms(toy_spec: dict[str, Any]) -> None:
    tta: list[dict[str, Any]] = [{"shift": (0.0, 1.0)}, {"rotation": 10.0, "zoom": 0.1}]
    model = fit_toy(toy_spec, tta=tta)
    model.temperature_ = 1.0
    single = [model.probabilities(IMAGES, [transform]) for transform in ({}, *tta)]
    assert np.allclose(model.predict_proba(IMAGES), np.mean(single, axis=0), atol=1e-6)
    assert (single[0].max(axis=1) < 0.99).all()
    # to the right by one pixel, done by hand
    shifted = np.roll(IMAGES.reshape(-1, 12, 12), 1, axis=2)
    shifted[:, :, 0] = 0
    assert np.allclose(single[1], model.probabilities(shifted.reshape(-1, 144)), atol=1e-6)
    assert not np.allclose(single[0], single[1], atol=1e-3)


def test_a_flipped_view_is_the_mirrored_image(toy_spec: dict[str, Any]) -> None:
    """As its section of params has it, with all its keys."""
    flipped = TtaView(flip=True).model_dump()
    model = fit_toy(toy_spec, tta=[flipped])
    model.temperature_ = 1.0
    mirrored = IMAGES.reshape(-1, 12, 12)[:, :, ::-1].reshape(-1, 144)
    by_hand = model.probabilities(mirrored)
    assert np.array_equal(model.probabilities(IMAGES, [flipped]), by_hand)
    unsure = model.probabilities(IMAGES).max(axis=1) < 0.99
    expected = (model.probabilities(IMAGES) + by_hand) / 2
    assert unsure.any()
    assert np.allclose(model.predict_proba(IMAGES)[unsure], expected[unsure], atol=1e-6)
    assert not np.allclose(by_hand, model.probabilities(IMAGES), atol=1e-3)


def test_tta_is_left_out_where_the_network_is_sure(toy_spec: dict[str, Any]) -> None:
    """Then an image keeps its own probabilities; the others get the mean, whichever images are beside them."""
    tta: list[dict[str, Any]] = [{"shift": (0.0, 1.0)}]
    model = fit_toy(toy_spec, tta=tta)
    model.temperature_ *= 0.25  # so that it is sure of many images, but not of all
    with_tta, alone = model.predict_proba(IMAGES), model.probabilities(IMAGES)
    averaged = model.probabilities(IMAGES, [{}, *tta])
    sure, unsure = alone.max(axis=1) > 0.999, alone.max(axis=1) < 0.99
    assert sure.any()
    assert unsure.any()
    assert np.array_equal(with_tta[sure], alone[sure])
    assert np.allclose(with_tta[unsure], averaged[unsure], atol=1e-6)
    assert np.allclose(model.predict_proba(IMAGES[unsure]), averaged[unsure], atol=1e-6)
    assert model.predict_proba(IMAGES[:0]).shape == (0, 3)


COLOURS = replace(TASK, channels=3)


@pytest.mark.parametrize(("optimizer", "normalise"), [("adam", "/255"), ("muon", "minmax")])
def test_it_learns_colours(toy_spec: dict[str, Any], optimizer: str, normalise: str) -> None:
    images, labels = coloured_images(240, np.random.default_rng(0))
    toy_spec |= {"epochs": 8, "learning_rate": 0.02, "optimizer": {"name": optimizer}, "tta": [{"rotation": 5.0}]}
    model = build_toy(toy_spec, task=replace(COLOURS, normalise=normalise)).fit(images[:180], labels[:180])
    assert (model.predict_proba(images[180:]).argmax(axis=1) == labels[180:]).mean() > 0.9


def test_tta_moves_all_channels_of_a_pixel(toy_spec: dict[str, Any]) -> None:
    """To the right by one pixel, and by hand; a network that has hardly learned anything is unsure of all images."""
    images, labels = coloured_images(60, np.random.default_rng(0))
    toy_spec |= {"epochs": 1, "learning_rate": 0.001, "tta": [{"shift": (0.0, 1.0)}]}
    model = build_toy(toy_spec, task=COLOURS).fit(images, labels)
    model.temperature_ = 1.0
    shifted = np.roll(images.reshape(-1, 12, 12, 3), 1, axis=2)
    shifted[:, :, 0] = 0
    alone, moved = (model.probabilities(each) for each in (images, shifted.reshape(60, -1)))
    assert np.allclose(model.predict_proba(images), (alone + moved) / 2, atol=1e-6)
    assert not np.allclose(alone, moved, atol=1e-3)
