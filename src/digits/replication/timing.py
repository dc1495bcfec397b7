"""How long the fits of recipes take, roughly: for their order, and for the bar."""

from math import ceil
from typing import Any

from digits.models.architecture import parse_layers, training_operations

# One core with AVX-512 and AMX; where they are missing, all take longer alike. Operations per second of networks by
# precision, and of MLPClassifier, whose updates take as long as its products.
_SPEEDS = {"float32": 80e9, "mixed_bfloat16": 400e9}
_MLP_SPEED = 40e9
_MLP_EPOCHS = 100  # of up to 200, after which it has mostly stopped
_MLP_BATCH = 200  # images; scikit-learn's own choice
_STEP, _START = 1e-3, 3.0  # seconds of a step and of a fit beside their operations


def expected_seconds(model: dict[str, Any], images: int, image_shape: tuple[int, int], classes: int) -> float:
    """Of one fit on so many images. model: parameters as in params.yaml, with a value for every `auto`."""
    if model["kind"] == "cnn":
        layers, epochs = parse_layers(model["layers"]), model["epochs"]
        batch, speed = model["batch_size"], _SPEEDS.get(model["precision"], _SPEEDS["float32"])
    else:
        layers, epochs = parse_layers(" ".join(map(str, model["hidden_layer_sizes"]))), _MLP_EPOCHS
        batch, speed = _MLP_BATCH, _MLP_SPEED
    operations = training_operations(layers, image_shape, classes) * images * epochs
    return float(_START + _STEP * epochs * ceil(images / batch) + operations / speed)
