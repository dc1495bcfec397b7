"""The training loop: one compiled step per batch."""

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

from digits.common.errors import DivergedError
from digits.models.cnn.libraries import keras, tf

_CHECK_EVERY = 20  # steps; reading the losses makes the CPU or GPU wait for the last step

Batch = tuple[Any, Any]


def train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    batches: Iterable[Batch],
    steps_per_epoch: int,
    *,
    label_smoothing: float,
    callbacks: list[keras.callbacks.Callback],
    jit_compile: bool = False,
) -> float:
    """Take a step for each of `batches`, until they end or a callback sets model.stop_training.

    batches: images (batch, height, width, channels) float32 and labels (batch, classes) float32. callbacks: called at
    the end of each epoch with the mean loss (with penalties) and the accuracy over its steps. Returns the seconds of
    the steps alone, without the first _CHECK_EVERY, which include the tracing. Raises DivergedError within _CHECK_EVERY
    steps after a loss that is not finite.

    Keras' `fit` takes a tenth to a fifth longer for batches of 128, leaks four times as much memory, and most of its
    other features are not needed here.
    """
    step = compiled_step(model, optimizer, label_smoothing, jit_compile)
    model.optimizer, model.stop_training = optimizer, False
    callback_list = keras.callbacks.CallbackList(callbacks, model=model)
    callback_list.on_train_begin()
    stream = iter(batches)
    seconds: list[float] = []
    epoch = 0
    while not model.stop_training:
        results: list[np.ndarray] = []
        for chunk, chunk_seconds in _run_steps(step, stream, steps_per_epoch):
            _raise_if_diverged(chunk, epoch * steps_per_epoch + len(results), epoch, optimizer)
            results += list(chunk)
            seconds.append(chunk_seconds)
        if not results:
            break
        loss, accuracy = np.mean(results, axis=0)
        callback_list.on_epoch_end(epoch, {"loss": float(loss), "accuracy": float(accuracy)})
        epoch += 1
    optimizer.finalize_variable_values(model.trainable_variables)
    callback_list.on_train_end()
    return sum(seconds[1:])


def compiled_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float, jit_compile: bool = False
) -> tf.function:
    """A training step, compiled: (images, labels) -> (2,) float32, the batch's loss and accuracy before the update.

    jit_compile: by XLA, which made every network tried slower on the CPU. In float16 the loss is scaled, because small
    gradients would be 0 (P. Micikevicius et al., 2018, Mixed precision training, ICLR, section 3.2): a step whose
    gradients overflow changes nothing but the scale, which it halves; 2,000 steps without one double it.
    """
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    if any(layer.compute_dtype == "float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)

    # traced once per fit
    @tf.function(autograph=False, jit_compile=jit_compile or None)  # type: ignore[untyped-decorator]
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits) + sum(tf.cast(penalty, tf.float32) for penalty in model.losses)
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        correct = tf.argmax(logits, axis=1) == tf.argmax(labels, axis=1)
        return tf.stack([loss, tf.reduce_mean(tf.cast(correct, tf.float32))])

    return step


def _run_steps(step: tf.function, batches: Iterator[Batch], count: int) -> Iterator[tuple[np.ndarray, float]]:
    """Take up to `count` steps; yields loss and accuracy of _CHECK_EVERY at a time, (steps, 2), and their seconds.

    The seconds are without those that the batches took to be made.
    """
    for first in range(0, count, _CHECK_EVERY):
        started, waited, pending = perf_counter(), 0.0, list[tf.Tensor]()
        while len(pending) < min(_CHECK_EVERY, count - first):
            asked = perf_counter()
            batch = next(batches, None)
            waited += perf_counter() - asked
            if batch is None:
                break
            pending.append(step(*batch))
        if not pending:
            return
        results = tf.stack(pending).numpy()
        yield results, perf_counter() - started - waited


def _raise_if_diverged(
    results: np.ndarray, steps_before: int, epoch: int, optimizer: keras.optimizers.Optimizer
) -> None:
    """Raise DivergedError if a loss in `results`, (steps, 2), is not finite; epoch: counted from 0."""
    losses = results[:, 0]
    if not np.isfinite(losses).all():
        first = int(np.isfinite(losses).argmin())
        rate = float(optimizer.learning_rate)
        raise DivergedError(
            f"the loss became {losses[first]} in epoch {epoch + 1}, step {steps_before + first + 1}, at a learning "
            f'rate of {rate:.3g}; try a lower one, as in SET="train.learning_rate={rate / 10:.2g}"'
        )
