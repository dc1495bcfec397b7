"""The training loop: divergence, timing, tracing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.models import TaskSpec
from digits.models.architecture import parse_layers
from digits.models.cnn import loop
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.network import build_network
from toy_networks import IMAGES, NO_AUGMENTATION, SETTINGS, SGD, fit_toy, fit_validated

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
