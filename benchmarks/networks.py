"""What the Keras device gets out of this machine: speed beside plain Keras, and accuracy for time.

Everything is measured in one run, in turns, so that a slow hour of the machine slows all of it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import mean, median, stdev
from time import perf_counter
from typing import Any

import numpy as np

from digits.cli.context import Context
from digits.common.console import Bar
from digits.config import CnnSpec
from digits.models.architecture import parse_layers, training_operations

REPORT = "bench.json"
SEEDS = (0, 1, 2)
ROUNDS = 5
IMAGES = 12_800  # per round and way; a multiple of every batch size that the probe may choose
OVERHEAD_MINUTES = 3.0  # of the fit whose overhead is shown
MATRIX = 2048  # rows and columns of the product that is taken for the machine's peak


def measure(context: Context) -> dict[str, Any]:
    """speedup, peak_share and overhead_share (medians), and the frontier of params.yaml's networks.

    speedup: images per second of the default network beside the same in plain Keras layers, float32 and `fit`.
    peak_share: floating-point operations per second in training, of those in the fastest matrix product.
    overhead_share: what is no training step (start-up, tracing, input, looking, judging, saving) in a fit of 3 minutes.
    frontier: accuracy on the holdout for each network, fitted from several seeds on everything else.
    """
    spec = context.device.resolve(context.params.train.spec)
    context.console.say(context.device.description(spec.model_dump()))
    known = {name: context.params.network(name) for name in context.params.networks}
    names = sorted(filter(lambda name: context.params.fits(known[name]), known), key=lambda name: known[name].epochs)
    networks = {name: context.device.resolve(known[name]) for name in names}
    with context.console.bar("bench", ROUNDS + len(SEEDS) * len(names), "measurements") as bar:
        speeds = _speeds(spec, bar)
        fits = {name: [] for name in names}  # type: dict[str, list[dict[str, float]]]
        for seed in SEEDS:  # seed by seed, so that each network meets every hour of the machine
            for name, network in networks.items():
                fits[name].append(_fit(context, network, seed))
                bar.advance(1, f"{name}: {fits[name][-1]['accuracy']:.4f}")
    return speeds | {
        "overhead_share": round(_overhead_share(list(fits.values())), 3),
        "frontier": [_point(name, networks[name], fits[name]) for name in names],
    }


def _speeds(spec: CnnSpec, bar: Bar) -> dict[str, Any]:
    """Medians of the ratios within each round."""
    from benchmarks import ways  # noqa: PLC0415 - loads TensorFlow

    size = spec.batch_size
    assert isinstance(size, int)
    ours, plain = ways.ours(spec, IMAGES), ways.plain_keras(spec, IMAGES)
    products = {dtype: ways.matrix_product(dtype, MATRIX) for dtype in ("float32", "bfloat16")}
    found: dict[str, list[float]] = {name: [] for name in ("ours", "plain", *products)}
    for _ in range(ROUNDS):
        found["ours"].append(IMAGES / _seconds(ours))
        found["plain"].append(IMAGES / _seconds(plain))
        for dtype, product in products.items():
            found[dtype].append(2 * MATRIX**3 * ways.PRODUCTS / _seconds(product))
        bar.advance(1, f"{found['ours'][-1]:,.0f} images per second, plain Keras {found['plain'][-1]:,.0f}")
    peaks = [max(found[dtype][round_] for dtype in products) for round_ in range(ROUNDS)]
    per_image = training_operations(parse_layers(spec.layers), (28, 28), 10)
    return {
        "images_per_second": round(median(found["ours"])),
        "plain_images_per_second": round(median(found["plain"])),
        "speedup": round(median(a / b for a, b in zip(found["ours"], found["plain"], strict=True)), 2),
        "peak_gflops": {dtype: round(median(found[dtype]) / 1e9) for dtype in products},
        "peak_share": round(median(a * per_image / b for a, b in zip(found["ours"], peaks, strict=True)), 3),
    }


def _seconds(work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _fit(context: Context, spec: CnnSpec, seed: int) -> dict[str, float]:
    """One fit in a process of its own, on all images but the holdout."""
    asked = {
        "data_folder": str(context.data.folder),
        "spec": spec.model_dump(mode="json"),
        "normalise": context.params.data.normalise,
        "seed": seed,
        "started": time.time(),
    }
    command = [sys.executable, "-m", "benchmarks.one_fit", json.dumps(asked)]
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    found: dict[str, float] = json.loads(shown.splitlines()[-1])
    return found


def _overhead_share(fits: list[list[dict[str, float]]]) -> float:
    """For a fit of OVERHEAD_MINUTES, from the medians over the seeds of the networks with more and with less time."""
    points = sorted((_minutes(each), _overhead(each)) for each in fits)
    return float(np.interp(OVERHEAD_MINUTES, [minutes for minutes, _ in points], [share for _, share in points]))


def _overhead(fits: list[dict[str, float]]) -> float:
    return median(1 - fit["step_seconds"] / fit["seconds"] for fit in fits)


def _minutes(fits: list[dict[str, float]]) -> float:
    return median(fit["seconds"] for fit in fits) / 60


def _point(name: str, spec: CnnSpec, fits: list[dict[str, float]]) -> dict[str, Any]:
    accuracies = [fit["accuracy"] for fit in fits]
    return {
        "name": name,
        "minutes": round(_minutes(fits), 2),
        "accuracy_mean": round(mean(accuracies), 5),
        "accuracy_sd": round(stdev(accuracies), 5),
        "n": len(fits),
        "overhead_share": round(_overhead(fits), 3),
        "config": spec.model_dump(mode="json"),
    }
