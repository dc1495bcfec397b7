"""Optimizers and learning-rate schedules, as params.yaml names them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.muon import Muon

_START_SHARE = 0.1  # of the peak learning rate, at the first step of a one-cycle schedule

_OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "nadam": keras.optimizers.Nadam,
    "adamw": keras.optimizers.AdamW,
    "lion": keras.optimizers.Lion,
    "muon": Muon,
    "schedule-free-adamw": keras.optimizers.ScheduleFreeAdamW,
}


def make_optimizer(
    optimizer: dict[str, Any],
    learning_rate: Any,
    *,
    weight_decay: float | None,
    clipnorm: float | None,
    clipvalue: float | None,
) -> keras.optimizers.Optimizer:
    """A Keras optimizer.

    optimizer: its `name` and its own parameters; those left out have Keras' defaults. learning_rate: a number or a
    schedule.
    """
    options = {key: value for key, value in optimizer.items() if key != "name"}
    if weight_decay is not None:
        options["weight_decay"] = weight_decay
    return _OPTIMIZERS[optimizer["name"]](learning_rate, clipnorm=clipnorm, clipvalue=clipvalue, **options)


def make_schedule(schedule: dict[str, Any], learning_rate: float, steps: int) -> Any:
    """Learning rate of an optimizer for a fit of `steps` steps: a number or a Keras schedule.

    schedule: `kind` and its parameters. `plateau` starts as a constant; a callback lowers it.
    """
    match schedule:
        case {"kind": "constant" | "plateau"}:
            return learning_rate
        case {"kind": "inverse-time", "decay": decay}:
            return keras.optimizers.schedules.InverseTimeDecay(learning_rate, decay_steps=1, decay_rate=decay)
        case {"kind": "cosine"}:
            return Course(keras.optimizers.schedules.CosineDecay(learning_rate, steps), steps)
        case {"kind": "one-cycle", "warmup": warmup}:
            return Course(one_cycle(learning_rate, warmup, steps), steps)
    raise ValueError(f"unknown schedule {schedule!r}")


class Course(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule over `steps` steps, the rest of which can be compressed into fewer steps while a fit runs."""

    def __init__(self, schedule: Callable[[Any], tf.Tensor], steps: int):
        self.schedule = schedule
        self.steps = steps
        # at the step `_since` of the fit the schedule is at `_reached`; each further step moves it on by `_pace`
        self._since, self._reached, self._pace = (tf.Variable(value) for value in (0.0, 0.0, 1.0))

    def __call__(self, step: Any) -> tf.Tensor:
        """Learning rate at a step of the fit, counted from 0."""
        return self.schedule(self._position(step))

    def _position(self, step: Any) -> tf.Tensor:
        return self._reached + (tf.cast(step, tf.float32) - self._since) * self._pace

    def end_at(self, last: int, step: int) -> None:
        """Compress the rest of the schedule after `step` into the steps from there to `last`."""
        self._reached.assign(self._position(step))
        self._since.assign(step)
        self._pace.assign((self.steps - self._reached) / (last - step))


def one_cycle(peak: float, warmup: float, steps: int) -> Callable[[Any], tf.Tensor]:
    """Linear rise of the learning rate to its peak over the share `warmup` of the steps, then half a cosine to 0.

    After L. N. Smith and N. Topin (2018), Super-convergence, arXiv:1708.07120, section 2, with the cosine of
    I. Loshchilov and F. Hutter (2017), SGDR, arXiv:1608.03983, equation 5. Steps are counted from 0.
    """

    def rate(step: Any) -> tf.Tensor:
        progress = tf.cast(step, tf.float32) / steps
        rising = _START_SHARE + (1 - _START_SHARE) * progress / max(warmup, 1e-6)
        falling = 0.5 * (1 + tf.cos(np.pi * (progress - warmup) / (1 - warmup)))
        return peak * tf.where(progress < warmup, rising, falling)

    return rate
