"""Search spaces of `tune`: the dimensions of each kind of model."""

from collections.abc import Mapping
from typing import Any

from digits.common.matching import hint
from digits.models.distributions import Categorical, Dimension, Range, Space

# A network of blocks of convolutions, each with a pooling at its end, then dense layers. Values are relative to what
# they depend on, so that a random point is decent: the rate to what suits the optimizer and the batch, lengths in
# pixels to the size of the image. How long a network is trained is no dimension: each has the same time.
_CNN: Space = {
    "blocks": Dimension(Range(2, 4)),
    "convolutions": Dimension(Range(1, 3)),  # of each block but the last
    "last_convolutions": Dimension(Range(1, 2)),  # of the last block
    "filters": Dimension(Categorical((16, 24, 32, 48, 64))),  # of the first block; multiples of 8 suit matrix units
    "growth": Dimension(Categorical((1.5, 2.0))),  # of the filters, from block to block
    "kernel_size": Dimension(Categorical((3, 5))),
    "padding": Dimension(Categorical(("same", "valid"))),  # valid: in the convolutions that leave _SMALLEST pixels
    "pooling": Dimension(Categorical(("max-pooling", "average-pooling", "stride"))),  # at the end of a block
    "batch_norm": Dimension(Categorical((False, True))),  # after each convolution
    "block_dropout": Dimension(Range(0.0, 0.4, step=0.1)),  # after each block
    "head": Dimension(Categorical(("flatten", "global-pooling"))),
    "dense_layers": Dimension(Range(0, 1)),
    "units": Dimension(Categorical((64, 128, 256, 512)), condition=("dense_layers", (1,))),
    "dropout": Dimension(Range(0.0, 0.6, step=0.1)),  # before the dense layers
    "activation": Dimension(Categorical(("relu", "leaky_relu", "gelu", "silu"))),
    "optimizer": Dimension(Categorical(("adam", "muon", "sgd"))),
    # peak learning rate, as a multiple of what suits optimizer and batch
    "rate": Dimension(Range(0.25, 4.0, log=True)),
    "weight_decay": Dimension(Range(0.003, 0.3, log=True), condition=("optimizer", ("muon",))),
    "warmup": Dimension(Range(0.05, 0.4)),
    "batch_size": Dimension(Categorical((64, 128, 256))),
    "label_smoothing": Dimension(Range(0.0, 0.15, step=0.05)),
    "rotation": Dimension(Range(0.0, 15.0)),
    "zoom": Dimension(Range(0.0, 0.2)),
    "shift": Dimension(Range(0.0, 0.1)),  # share of the size
    "elastic": Dimension(Range(0.0, 0.04)),  # share of the size
    "flip": Dimension(Categorical((False, True))),
    # views that are added to the image, and to its mirror image
    "tta": Dimension(Categorical(("none", "shifts", "all"))),
}
_MLP: Space = {
    "deskew": Dimension(Categorical((False, True))),  # images are centred and lose their slant
    "components": Dimension(Categorical((0, 50, 100, 200))),  # principal components; 0: the pixels themselves
    "hidden_layers": Dimension(Range(1, 3)),
    "width_1": Dimension(Categorical((32, 64, 128, 256, 512))),
    "width_2": Dimension(Categorical((32, 64, 128, 256, 512)), condition=("hidden_layers", (2, 3))),
    "width_3": Dimension(Categorical((32, 64, 128, 256)), condition=("hidden_layers", (3,))),
    "activation": Dimension(Categorical(("relu", "tanh", "logistic"))),
    "solver": Dimension(Categorical(("adam", "sgd"))),
    "alpha": Dimension(Range(1e-6, 1e-1, log=True)),
    "learning_rate": Dimension(Range(1e-4, 1e-2, log=True), condition=("solver", ("adam",))),
    "sgd_learning_rate": Dimension(Range(1e-2, 0.5, log=True), condition=("solver", ("sgd",))),
    "batch_size": Dimension(Categorical((64, 128, 200, 500))),
}
SPACES: Mapping[str, Space] = {"cnn": _CNN, "mlp": _MLP}


def narrow_space(kind: str, narrowed: Mapping[str, Any]) -> Space:
    """The space of a kind of model, some dimensions narrowed to a list of choices or two ends, or frozen to a value.

    Dimensions of other kinds are passed over. Raises ValueError, naming the dimension, for an unknown one and for
    values outside it.
    """
    space = dict(SPACES[kind])
    for name, values in narrowed.items():
        if name not in space and any(name in other for other in SPACES.values()):
            continue
        if name not in space:
            raise ValueError(f"{name}: no parameter of that name can be searched{hint(name, space)}")
        try:
            space[name] = Dimension(space[name].distribution.narrow(values), space[name].condition)
        except ValueError as error:
            raise ValueError(f"{name} = {error}") from None
    return space
