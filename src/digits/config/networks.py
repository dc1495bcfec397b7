"""The Keras network and how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from digits.config.section import Augment, LearningRate, Section, Share
from digits.models.architecture import parse_layers


def _layers(text: str) -> str:
    parse_layers(text)
    return text


Layers = Annotated[str, AfterValidator(_layers)]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "linear"]
Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "random_uniform", "random_normal"
]


def _word(key: str) -> BeforeValidator:
    """Accept a word in place of a section that has only this key, as `adam` for {name: adam}."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Sgd(Section):
    """Stochastic gradient descent with its momentum."""

    name: Literal["sgd"]
    momentum: Share
    nesterov: bool


OtherName = Literal[
    "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam", "adamw", "lion", "muon", "schedule-free-adamw"
]


class OtherOptimizer(Section):
    """An optimizer that is given only the learning rate; its other parameters keep Keras' defaults."""

    name: OtherName


Optimizer = Annotated[Sgd | OtherOptimizer, Field(discriminator="name"), _word("name")]


class Steady(Section):
    """A learning rate that is constant, or falls to 0 along half a cosine."""

    kind: Literal["constant", "cosine"]


class InverseTime(Section):
    """A learning rate of learning_rate / (1 + decay * step)."""

    kind: Literal["inverse-time"]
    decay: Annotated[float, Field(ge=0)]


class OneCycle(Section):
    """A learning rate that rises linearly over the share `warmup` of all steps, then falls to 0 along half a cosine."""

    kind: Literal["one-cycle"]
    warmup: Share


class Plateau(Section):
    """Multiply the rate by `factor` if the fold's validation log loss has not fallen for `patience` epochs."""

    kind: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Annotated[int, Field(ge=0)]


Schedule = Annotated[Steady | InverseTime | OneCycle | Plateau, Field(discriminator="kind"), _word("kind")]


class TtaView(Section):
    """A transformed copy of an image, for test-time augmentation.

    rotation, shear: degrees. zoom: share of the size. shift: pixels, (down, right). flip: whether it is mirrored
    first, left to right.
    """

    rotation: Annotated[float, Field(ge=-180, le=180)] = 0.0
    zoom: Annotated[float, Field(gt=-1, le=4)] = 0.0
    shear: Annotated[float, Field(ge=-60, le=60)] = 0.0
    shift: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 0.0)
    flip: bool = False


class CnnSpec(Section):
    """A Keras network and how it is trained; params.yaml explains each key, with its unit."""

    kind: Literal["cnn"]
    layers: Layers
    activation: Activation
    kernel_initializer: Initializer
    l1: Annotated[float, Field(ge=0)]
    l2: Annotated[float, Field(ge=0)]
    activity_l1: Annotated[float, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    min_steps: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"]
    optimizer: Optimizer
    learning_rate: LearningRate
    schedule: Schedule
    weight_decay: Annotated[float, Field(ge=0, lt=1)] | None
    clipnorm: Annotated[float, Field(gt=0)] | None
    clipvalue: Annotated[float, Field(gt=0)] | None
    label_smoothing: Share
    early_stopping_patience: Annotated[int, Field(ge=0)] | None
    restore_best_weights: bool
    augment: Augment
    tta: Annotated[tuple[TtaView, ...], Field(strict=False)]
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"]
    jit_compile: bool | Literal["auto"]

    @model_validator(mode="after")
    def _what_goes_together(self) -> Self:
        if self.clipnorm is not None and self.clipvalue is not None:
            raise ValueError("clipnorm and clipvalue exclude each other; set one of them to null")
        return self
