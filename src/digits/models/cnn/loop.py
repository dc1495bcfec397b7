"""The training loop: one compiled step, taken once per batch."""

from collections.abc import Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np

from digits.common.errors import DivergedError
from digits.models.cnn.libraries import keras, tf

_LOOK = 20  # steps between two looks at the losses: a look makes the processor or GPU wait for the last step

Batch = tuple[Any, Any]


def train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    batches: Iterable[Batch],
    steps_per_epoch: int,
    *,
    label_smoothing: float,
    callbacks: list[keras.callbacks.Callback],
) -> float:
    """Take a step for each of `batches`, until they end or a callback sets model.stop_training.

    batches: images (batch, height, width, 1) float32 and labels (batch, classes) float32. `callbacks` hear of the end
    of each epoch, with the mean loss (with penalties) and the accuracy over its steps. In place of Keras' `fit`, which
    takes a tenth to a fifth longer for batches of 128, leaves four times as much memory behind and has no use here for
    most of what it does. Returns the seconds that the steps took, but for the first _LOOK: they have the tracing in
    them. Raises DivergedError within _LOOK steps after a loss that is no number.
    """
    step = compiled_step(model, optimizer, label_smoothing)
    model.optimizer, model.stop_training = optimizer, False
    told = keras.callbacks.CallbackList(callbacks, model=model)
    told.on_train_begin()
    stream = _Timed(batches)
    seconds: list[float] = []
    epoch = 0
    while not model.stop_training:
        seen: list[np.ndarray] = []
        for found, took in _steps(step, stream, steps_per_epoch):
            _refuse_no_number(found, epoch * steps_per_epoch + len(seen), epoch, optimizer)
            seen += list(found)
            seconds.append(took)
        if not seen:
            break
        loss, accuracy = np.mean(seen, axis=0)
        told.on_epoch_end(epoch, {"loss": float(loss), "accuracy": float(accuracy)})
        epoch += 1
    optimizer.finalize_variable_values(model.trainable_variables)
    told.on_train_end()
    return sum(seconds[1:])


def compiled_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float) -> tf.function:
    """(images, labels) -> (2,) float32, loss and accuracy on the batch, after which the weights have moved."""
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    optimizer.build(model.trainable_variables)

    # traced once per fit; XLA (jit_compile) made every network tried slower on the CPU
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = loss_of(labels, logits) + sum(tf.cast(penalty, tf.float32) for penalty in model.losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        right = tf.argmax(logits, axis=1) == tf.argmax(labels, axis=1)
        return tf.stack([loss, tf.reduce_mean(tf.cast(right, tf.float32))])

    return step


class _Timed:
    """Passes batches on; `waited` is the seconds that they took to come."""

    def __init__(self, batches: Iterable[Batch]):
        self._batches = iter(batches)
        self.waited = 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        started = perf_counter()
        try:
            return next(self._batches)
        finally:
            self.waited += perf_counter() - started


def _steps(step: tf.function, stream: _Timed, count: int) -> Iterator[tuple[np.ndarray, float]]:
    """Loss and accuracy of the next `count` steps, (steps, 2), _LOOK at a time, with the seconds that these took."""
    for taken in range(0, count, _LOOK):
        started, waited = perf_counter(), stream.waited
        ahead = [step(*batch) for batch in islice(stream, min(_LOOK, count - taken))]
        if not ahead:
            return
        found = tf.stack(ahead).numpy()
        yield found, perf_counter() - started - (stream.waited - waited)


def _refuse_no_number(found: np.ndarray, before: int, epoch: int, optimizer: keras.optimizers.Optimizer) -> None:
    """Raise UserError where a loss is none; `before`: steps that were taken before those of `found`."""
    losses = found[:, 0]
    if not np.isfinite(losses).all():
        at = int(np.isfinite(losses).argmin())
        rate = float(optimizer.learning_rate)
        raise DivergedError(
            f"the loss became {losses[at]} in epoch {epoch + 1}, step {before + at + 1}, at a learning rate of "
            f'{rate:.3g}; try a lower one, as in SET="train.learning_rate={rate / 10:.2g}"'
        )
