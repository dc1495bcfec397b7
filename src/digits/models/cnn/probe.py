"""What this machine trains networks with, measured: `python -m digits.models.cnn.probe THREADS` prints it as JSON."""

import json
import sys
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from digits.models.architecture import parse_layers
from digits.models.cnn.libraries import hold_to_threads, keras, tf
from digits.models.cnn.loop import compiled_step
from digits.models.cnn.network import Style, build_network

NETWORK = "32C3 BN MP2 64C3 BN MP2 64C3 D0.3 128"  # a bit of everything, traced in half a second
BATCHES = (128, 256, 512)  # images; the learning rates in params.yaml hold from the first to the last
PRECISIONS = ("float32", "mixed_bfloat16")
_REPEATS = 5
_SECONDS = 0.1  # of steps at least, per repeat
_WATCHED = 1.0  # seconds of repeats; a slow machine need not be watched for longer
_HOPELESS = 0.5  # times the speed of another precision: one that is not even so fast is not timed any further


def measure(threads: int) -> dict[str, Any]:
    """gpus: number that TensorFlow sees; device: name; images_per_second: by precision, then by batch size."""
    hold_to_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    speeds: dict[tuple[str, int], float] = {}
    for precision in PRECISIONS:
        speeds[precision, BATCHES[0]] = _speed(precision, BATCHES[0], _HOPELESS * max(speeds.values(), default=0.0))
    best, _ = max(speeds, key=lambda tried: speeds[tried])
    speeds |= {(best, size): _speed(best, size) for size in BATCHES[1:]}
    table: dict[str, dict[int, float]] = {precision: {} for precision in PRECISIONS}
    for (precision, size), speed in speeds.items():
        table[precision][size] = round(speed)
    return {"gpus": len(gpus), "device": name, "images_per_second": table}


def _speed(precision: str, batch_size: int, hopeless: float = 0.0) -> float:
    """Images per second of a training step: the median of some repeats, or one below `hopeless`."""
    style = Style("relu", "glorot_uniform", 0.0, 0.0, 0.0, precision)
    model = build_network(parse_layers(NETWORK), style, (28, 28), 10)
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
    if batch_size / once < hopeless:
        return batch_size / once
    count = max(1, round(_SECONDS / once))
    repeats = min(_REPEATS, max(1, round(_WATCHED / (once * count))))
    return count * batch_size / median(seconds(count) for _ in range(repeats))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
