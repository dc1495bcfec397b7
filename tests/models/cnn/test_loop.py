"""The training loop: divergence, timing, tracing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.models import TaskSpec
from digits.models.architecture import parse_layers
from digits.models.cnn import loop
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.network import build_network
from digits.models.cnn.optimization import make_optimizer
from toy_networks import IMAGES, LABELS, LIMITS, NO_AUGMENTATION, SETTINGS, SGD, fit_toy, fit_validated

pytestmark = pytest.mark.slow


def test_a_loss_that_is_not_finite_stops_the_fit(toy_spec: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"the loss became (nan|inf) in epoch 1, step [1-9], at a learning rate of .*try a lower one"
    ):
        fit_toy(toy_spec, task=TaskSpec((12, 12), 3, "none"), optimizer=SGD, learning_rate=10.0, layers="64 64 64")


@pytest.mark.parametrize("broken", [0, 19, 24, 42])
def test_the_step_that_diverged_is_named_and_ends_the_fit_soon(broken: int) -> None:
    """Labels are NaN from step `broken` on, counted from 0; 25 steps an epoch."""
    taken: list[int] = []

    def batches() -> Iterator[tuple[Any, Any]]:
        for step in range(75):
            taken.append(step)
            yield tf.fill((8, 12, 12, 1), 0.5), tf.fill((8, 3), np.nan if step >= broken else 0.3)

    network = build_network(parse_layers("8"), SETTINGS, (12, 12), 3)
    with pytest.raises(
        UserError, match=rf"became nan in epoch {broken // 25 + 1}, step {broken + 1}, at a .* of 0.001;"
    ):
        loop.train(network, keras.optimizers.SGD(0.001), batches(), 25, label_smoothing=0.0, callbacks=[])
    assert taken[-1] < broken + 20


def test_the_seconds_of_steps_have_no_waiting_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own: a step takes 1 s, a batch 30 s to make, a callback 500 s."""
    now = 0.0

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def batches() -> Iterator[tuple[Any, Any]]:
        for _ in range(60):
            pass_time(30)
            yield tf.fill((8, 12, 12, 1), 0.5), tf.fill((8, 3), 0.3)

    def step(*_: Any) -> Any:
        pass_time(1)
        return tf.zeros(2)

    monkeypatch.setattr(loop, "perf_counter", lambda: now)
    monkeypatch.setattr(loop, "compiled_step", lambda *_: step)
    network = build_network(parse_layers("8"), SETTINGS, (12, 12), 3)
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: pass_time(500))
    optimizer = keras.optimizers.SGD(0.001)
    optimizer.build(network.trainable_variables)
    seconds = loop.train(network, optimizer, batches(), 30, label_smoothing=0.0, callbacks=[callback])
    assert now == 60 * 31 + 2 * 500
    assert seconds == 40  # without the first 20, which include the tracing


def test_a_fit_is_traced_once(toy_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left of an epoch or of the images to predict: a second trace takes seconds."""
    steps: list[Any] = []

    compiled_step = loop.compiled_step

    def recorded(*arguments: Any) -> Any:
        steps.append(compiled_step(*arguments))
        return steps[-1]

    monkeypatch.setattr(loop, "compiled_step", recorded)
    model = fit_validated(toy_spec, batch_size=50, epochs=3)  # 180 images: three batches and a rest of 30
    model.predict_proba(IMAGES[:7])
    model.predict_proba(IMAGES)
    assert [step.experimental_get_tracing_count() for step in steps] == [1]
    assert model.model_.predict_function.experimental_get_tracing_count() == 1


def test_weight_penalties_reach_the_loss(toy_spec: dict[str, Any]) -> None:
    toy_spec |= {"layers": "16", "augment": NO_AUGMENTATION, "epochs": 12, "learning_rate": 0.02}
    free, penalised = (fit_toy(toy_spec, l2=l2) for l2 in (0.0, 0.1))
    norms = [float((model.model_.get_weights()[0] ** 2).sum()) for model in (free, penalised)]
    assert norms[1] < 0.2 * norms[0]
    assert penalised.history_[0]["loss"] > free.history_[0]["loss"] + 0.1


def test_label_smoothing_reaches_the_loss(toy_spec: dict[str, Any]) -> None:
    """The least possible loss is the entropy of the smoothed labels."""
    model = fit_toy(toy_spec, layers="64", augment=NO_AUGMENTATION, label_smoothing=0.3, epochs=60, learning_rate=0.02)
    smoothed = np.array([0.8, 0.1, 0.1])
    assert model.history_[-1]["loss"] == pytest.approx(-(smoothed * np.log(smoothed)).sum(), abs=0.02)


def former_step(model: Any, optimizer: Any, label_smoothing: float) -> Any:
    """`compiled_step` without a scale and without XLA."""
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits) + sum(tf.cast(penalty, tf.float32) for penalty in model.losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        correct = tf.argmax(logits, axis=1) == tf.argmax(labels, axis=1)
        return tf.stack([loss, tf.reduce_mean(tf.cast(correct, tf.float32))])

    return step


MUON = {"name": "muon"}
BATCH = IMAGES[:32].reshape(-1, 12, 12, 1).astype(np.float32) / 255, np.eye(3, dtype=np.float32)[LABELS[:32]]


def after_steps(
    make_step: Callable[..., Any],
    precision: str,
    *options: Any,
    layers: str = "4C3 BN MP2 D0.3 8",
    optimizer: dict[str, Any] = MUON,
    rate: float = 0.01,
) -> Any:
    """Losses and accuracies of four steps, and the weights after them."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    settings = replace(SETTINGS, precision=precision, l2=0.01, jit_compile=any(options))
    model = build_network(parse_layers(layers), settings, (12, 12), 3)
    step = make_step(model, make_optimizer(optimizer, rate, **LIMITS), 0.1, *options)
    results = [step(*BATCH).numpy() for _ in range(4)]
    return results, [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_without_float16_and_xla_a_step_has_the_bits_that_it_always_had(precision: str) -> None:
    (results, weights), (former_results, former) = (
        after_steps(make_step, precision) for make_step in (loop.compiled_step, former_step)
    )
    assert np.array_equal(results, former_results)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(weights, former, strict=True))


def test_float16_takes_the_steps_of_float32_but_for_its_rounding() -> None:
    """The scale of the loss is in neither the loss nor the update, whose length is that of the gradient."""
    # a relu or a maximum may go another way where values are nearly equal, so there are few of them
    few: dict[str, Any] = {"layers": "4C3 MP2 8", "optimizer": SGD, "rate": 0.1}
    (half, weights), (single, exact) = (
        after_steps(loop.compiled_step, precision, **few) for precision in ("mixed_float16", "float32")
    )
    losses, exact_losses = np.array(half)[:, 0], np.array(single)[:, 0]
    assert exact_losses[-1] < 0.95 * exact_losses[0]
    assert losses == pytest.approx(exact_losses, rel=5e-3)
    assert {weight.dtype for weight in weights} == {np.dtype(np.float32)}
    for ours, theirs in zip(weights, exact, strict=True):
        assert np.abs(ours - theirs).mean() < 0.05 * max(np.abs(theirs).mean(), 0.01)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_xla_takes_the_same_steps(precision: str) -> None:
    (compiled, _), (plain, _) = (
        after_steps(loop.compiled_step, precision, jit_compile) for jit_compile in (True, False)
    )
    assert np.array(compiled)[:, 0] == pytest.approx(np.array(plain)[:, 0], rel=0.02)


def test_a_step_whose_gradients_overflow_is_skipped_and_lowers_the_scale() -> None:
    """Gradients grow with the brightness of the images: each doubling costs one more step, which halves the scale."""
    skipped = []
    for brightness in (64, 128, 256):
        keras.utils.set_random_seed(0)
        model = build_network(parse_layers("8"), replace(SETTINGS, precision="mixed_float16"), (12, 12), 3)
        optimizer = keras.optimizers.SGD(1e-6)
        step = loop.compiled_step(model, optimizer, 0.0)
        before, steps = [weight.numpy() for weight in model.weights], 0
        while not int(optimizer.iterations):
            assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
            assert np.isfinite(step(brightness * BATCH[0], BATCH[1])).all()
            steps += 1
            assert steps < 20
        assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
        skipped.append(steps - 1)
    assert skipped[0] >= 1
    assert np.diff(skipped).tolist() == [1, 1]
