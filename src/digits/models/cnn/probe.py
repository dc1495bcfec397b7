"""Training speed of this machine: steps of a small network."""

from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np

from digits.common.host import peak_memory
from digits.models.architecture import parse_layers
from digits.models.cnn.libraries import keras, set_threads, tf
from digits.models.cnn.loop import compiled_step
from digits.models.cnn.network import LayerSettings, build_network

NETWORK = "32C3 BN MP2 64C3 BN MP2 64C3 D0.3 128"  # has most kinds of layers and is traced in half a second
_SECONDS = 0.15  # of a sample; a step may take longer
_UNBROKEN = 0.02  # seconds of steps between two looks at the clock, for which a GPU must finish


def look() -> dict[str, Any]:
    """What TensorFlow sees: gpus, their number; device, the name of the first, or CPU.

    On GPUs also capability, (major, minor) of the first's compute capability, None where it has none; card_memory, MB
    that a process may use of it.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return {"gpus": 0, "device": "CPU"}
    details = tf.config.experimental.get_device_details(gpus[0])
    with tf.compat.v1.Session() as session:  # nothing else of TensorFlow tells it
        memory = min(each.memory_limit_bytes for each in session.list_devices() if each.device_type == "GPU")
    return {
        "gpus": len(gpus),
        "device": details.get("device_name", "GPU"),
        "capability": details.get("compute_capability"),
        "card_memory": memory / 1e6,
    }


def prepare(
    fits: int, threads: int, precision: str, batch_size: int, jit_compile: bool
) -> tuple[dict[str, Any], Callable[[], float]]:
    """memory, MB of this process, and a function that trains for a while and returns images per second.

    fits: number that train at the same time. One fit alone on one thread is measured in processor time, which other
    programs hardly change.
    """
    set_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.experimental.enable_op_determinism()  # as fits do; kernels of a GPU may be slower then
    settings = LayerSettings("relu", "glorot_uniform", 0.0, 0.0, 0.0, precision, jit_compile)
    model = build_network(parse_layers(NETWORK), settings, (28, 28), 10)
    step = compiled_step(model, keras.optimizers.Adam(), 0.0, jit_compile)
    generator = np.random.default_rng(0)
    images = tf.constant(generator.random((batch_size, 28, 28, 1), np.float32))
    labels = tf.one_hot(generator.integers(0, 10, batch_size), 10)
    clock = process_time if fits == threads == 1 and not gpus else perf_counter

    def seconds(count: int) -> float:
        started = clock()
        for _ in range(count - 1):
            step(images, labels)
        step(images, labels).numpy()
        return clock() - started

    def images_per_second() -> float:
        steps, spent, end = 0, 0.0, perf_counter() + _SECONDS
        while not steps or perf_counter() < end:
            steps, spent = steps + at_once, spent + seconds(at_once)
        return steps * batch_size / max(spent, 1e-3)

    seconds(1)  # traces
    at_once = max(1, round(_UNBROKEN / seconds(1)))
    return {"memory": peak_memory()}, images_per_second
