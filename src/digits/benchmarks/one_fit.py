"""One network, fitted and judged as `make train` would, in a process of its own that the benchmark can time whole."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from digits.metrics import accuracy
from digits.models import Setting
from digits.models.cnn import build, save
from digits.models.cnn.libraries import keras, tf
from digits.models.cnn.loop import compiled_step
from digits.prepared import load_prepared

_STEPS = 40  # timed at the end, per repeat
_REPEATS = 5


def fit(data_folder: Path, spec: dict[str, Any], normalise: str, seed: int, started: float) -> dict[str, float]:
    """Fit on all folds' images, judge on the holdout, save; then time a training step that does nothing else.

    started: time.time() when the process was asked for. Returns accuracy on the holdout, read here and once; seconds
    from `started` to the end of saving; step_seconds, how much of them the training steps alone would have taken; and
    images_per_second, of these.
    """
    data = load_prepared(data_folder)
    model = build(spec, Setting(data.image_shape, data.classes, normalise), seed, None)
    rows = data.working_rows
    # as in a fold, a part is looked at after every epoch; what it shows is used for nothing
    looked_at = data.valid_rows(0)
    model.fit(data.images[rows], data.labels[rows], data.images[looked_at], data.labels[looked_at])
    found = accuracy(model.predict_proba(data.images[data.holdout_rows]), data.labels[data.holdout_rows])
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
    seconds = time.time() - started
    per_step = _seconds_per_step(model, spec, data.image_shape, data.classes)
    steps = len(model.history_) * (len(rows) // spec["batch_size"])
    return {
        "accuracy": found.value,
        "seconds": seconds,
        "step_seconds": steps * per_step,
        "images_per_second": spec["batch_size"] / per_step,
    }


def _seconds_per_step(model: Any, spec: dict[str, Any], image_shape: tuple[int, int], classes: int) -> float:
    step = compiled_step(model.model_, keras.optimizers.Adam(1e-6), spec["label_smoothing"])
    generator = np.random.default_rng(0)
    images = tf.constant(generator.random((spec["batch_size"], *image_shape, 1), np.float32))
    labels = tf.one_hot(generator.integers(0, classes, spec["batch_size"]), classes)
    found = []
    for _ in range(_REPEATS + 1):
        started = perf_counter()
        for _ in range(_STEPS - 1):
            step(images, labels)
        step(images, labels).numpy()
        found.append((perf_counter() - started) / _STEPS)
    return median(found[1:])  # the first traces


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(fit(Path(asked.pop("data_folder")), **asked)))
