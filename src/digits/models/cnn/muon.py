"""Muon for convolutional networks."""

from math import prod, sqrt
from typing import Any

from digits.models.cnn.libraries import keras, tf

OUTPUT = "logits"  # name of the layer that is left to AdamW
_ITERATIONS = 3  # towards a step of the same length in every direction; quicker than Keras' five, not compared alone
_WEIGHT_DECAY = 0.004  # of both kinds of steps; Keras' default


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Keras' Muon, for which the kernel of a convolution is a matrix too: a row per pixel and channel that it sees.

    After K. Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks,
    kellerjordan.github.io/posts/muon, with the length of a step of J. Liu et al. (2025), arXiv:2502.16982, section 2.2.
    A step is about as long in every direction in which a layer can change. Keras' own leaves all convolutions to
    AdamW; this one biases, a convolution of a single channel and the layer named OUTPUT, which are no hidden layers.
    """

    def __init__(self, learning_rate: Any, weight_decay: float = _WEIGHT_DECAY, **common: Any):
        decay = {"weight_decay": weight_decay, "adam_weight_decay": weight_decay}
        super().__init__(learning_rate, exclude_layers=[OUTPUT], ns_steps=_ITERATIONS, **decay, **common)

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) == 4:
            return bool(variable.shape[2] == 1)
        return bool(super()._should_use_adamw(variable))

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        rows, columns = prod(variable.shape[:-1]), variable.shape[-1]
        m.assign(self.momentum * m + gradient)
        moved = gradient + self.momentum * m if self.nesterov else m
        update = self.zeropower_via_newtonschulz5(tf.reshape(moved, (rows, columns)), self.ns_steps)
        length = lr * self.rms_rate * sqrt(max(rows, columns))
        variable.assign_sub(length * tf.reshape(update, variable.shape))
