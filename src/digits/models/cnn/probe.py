"""Training speed of this machine: `python -m digits.models.cnn.probe THREADS` measures it and prints JSON."""

import json
import sys
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from digits.models.architecture import parse_layers
from digits.models.cnn.libraries import keras, set_threads, tf
from digits.models.cnn.loop import compiled_step
from digits.models.cnn.network import LayerSettings, build_network

NETWORK = "32C3 BN MP2 64C3 BN MP2 64C3 D0.3 128"  # has most kinds of layers and is traced in half a second
BATCH_SIZES = (128, 256, 512)  # images; the learning rates in params.yaml hold for all of them
PRECISIONS = ("float32", "mixed_bfloat16")
_REPEATS = 5  # at most
_REPEAT_SECONDS = 0.1  # at least
_TOTAL_SECONDS = 1.0  # of repeats, at most
_MIN_RELATIVE_SPEED = 0.5  # of the faster precision; a slower one is timed by a single step


def measure(threads: int) -> dict[str, Any]:
    """gpus: number that TensorFlow sees; device: its name; images_per_second: by precision, then by batch size."""
    set_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    speeds: dict[tuple[str, int], float] = {}
    for precision in PRECISIONS:
        enough = _MIN_RELATIVE_SPEED * max(speeds.values(), default=0.0)
        speeds[precision, BATCH_SIZES[0]] = _images_per_second(precision, BATCH_SIZES[0], enough)
    best, _ = max(speeds, key=lambda key: speeds[key])
    speeds |= {(best, size): _images_per_second(best, size) for size in BATCH_SIZES[1:]}
    table: dict[str, dict[int, float]] = {precision: {} for precision in PRECISIONS}
    for (precision, size), speed in speeds.items():
        table[precision][size] = round(speed)
    return {"gpus": len(gpus), "device": name, "images_per_second": table}


def _images_per_second(precision: str, batch_size: int, enough: float = 0.0) -> float:
    """Speed of a training step: the median of some repeats, or that of a single step where it is below `enough`."""
    settings = LayerSettings("relu", "glorot_uniform", 0.0, 0.0, 0.0, precision)
    model = build_network(parse_layers(NETWORK), settings, (28, 28), 10)
    step = compiled_step(model, keras.optimizers.Adam(), 0.0)
    generator = np.random.default_rng(0)
    images = tf.constant(generator.random((batch_size, 28, 28, 1), np.float32))
    labels = tf.one_hot(generator.integers(0, 10, batch_size), 10)

    def seconds(count: int) -> float:
        started = perf_counter()
        for _ in range(count - 1):
            step(images, labels)
        step(images, labels).numpy()
        return perf_counter() - started

    seconds(1)  # traces
    once = seconds(1)
    if batch_size / once < enough:
        return batch_size / once
    count = max(1, round(_REPEAT_SECONDS / once))
    repeats = min(_REPEATS, max(1, round(_TOTAL_SECONDS / (once * count))))
    return count * batch_size / median(seconds(count) for _ in range(repeats))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
