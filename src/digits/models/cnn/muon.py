"""Muon for convolutional networks."""

from math import prod, sqrt
from typing import Any

from digits.models.cnn.libraries import keras, tf

INPUT, OUTPUT = "input_conv2d", "logits"  # names of the first convolution and of the final layer; AdamW updates them
_NS_STEPS = 3  # Newton-Schulz iterations; faster than Keras' five, whose effect was not measured separately
_WEIGHT_DECAY = 0.004  # of Muon's and AdamW's updates; Keras' default


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Keras' Muon, which also updates convolution kernels: as matrices, (kernel pixels * channels, filters).

    After K. Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks,
    kellerjordan.github.io/posts/muon, with the step length of J. Liu et al. (2025), arXiv:2502.16982, section 2.2. The
    singular values of an update are about equal. Keras' own Muon leaves all convolutions to AdamW. This one leaves to
    AdamW only what is not a hidden layer: biases, convolutions of a single channel, and the layers named INPUT and
    OUTPUT.
    """

    def __init__(self, learning_rate: Any, weight_decay: float = _WEIGHT_DECAY, **common: Any):
        decay = {"weight_decay": weight_decay, "adam_weight_decay": weight_decay}
        super().__init__(learning_rate, exclude_layers=[OUTPUT], ns_steps=_NS_STEPS, **decay, **common)

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) == 4:
            return bool(variable.shape[2] == 1 or INPUT in variable.path)
        return bool(super()._should_use_adamw(variable))

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        rows, columns = prod(variable.shape[:-1]), variable.shape[-1]
        m.assign(self.momentum * m + gradient)
        direction = gradient + self.momentum * m if self.nesterov else m
        update = self.zeropower_via_newtonschulz5(tf.reshape(direction, (rows, columns)), self.ns_steps)
        length = lr * self.rms_rate * sqrt(max(rows, columns))
        variable.assign_sub(length * tf.reshape(update, variable.shape))
