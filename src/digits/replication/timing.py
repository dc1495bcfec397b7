"""Rough durations of fits, for their order and for the progress bar."""

from math import ceil
from typing import Any

from digits.models.architecture import parse_layers, training_operations

# Operations per second on one core with AVX-512 and AMX; without these all fits take longer by about the same factor.
# Networks by precision, and MLPClassifier, whose weight updates take as long as its matrix products.
_SPEEDS = {"float32": 80e9, "mixed_bfloat16": 400e9}
_MLP_SPEED = 40e9
_MLP_EPOCHS = 100  # of 200 at most; it usually stops after about this many
_MLP_BATCH = 200  # images; scikit-learn's default
_STEP, _START = 1e-3, 3.0  # seconds of a step and of a fit, in addition to their operations


def expected_seconds(
    model: dict[str, Any], images: int, image_shape: tuple[int, int], classes: int, channels: int
) -> float:
    """Expected duration of one fit. model: parameters as in params.yaml, with a value for every `auto`."""
    if model["kind"] == "cnn":
        layers, epochs = parse_layers(model["layers"]), model["epochs"]
        batch, speed = model["batch_size"], _SPEEDS.get(model["precision"], _SPEEDS["float32"])
    else:
        layers, epochs = parse_layers(" ".join(map(str, model["hidden_layer_sizes"]))), _MLP_EPOCHS
        batch, speed = _MLP_BATCH, _MLP_SPEED
    operations = training_operations(layers, image_shape, classes, channels) * images * epochs
    return float(_START + _STEP * epochs * ceil(images / batch) + operations / speed)
