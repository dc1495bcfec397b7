"""The Keras family on this machine: its speed against plain Keras, and accuracy by training time.

Everything is measured in one run and in turns, so that slow minutes of the machine slow everything alike.
"""

import json
import time
from statistics import mean, median, stdev
from typing import Any

import numpy as np

from benchmarks.measuring import run_module, seconds
from digits.cli.context import Context
from digits.common.console import Bar
from digits.config import CnnSpec
from digits.models.architecture import parse_layers, training_operations

REPORT = "bench.json"
FOLDS = (0, 1, 2)  # on which each network is judged, with a seed of the same number
ROUNDS = 5
IMAGES = 12_800  # per round and workload; a multiple of every batch size that the probe may choose
OVERHEAD_MINUTES = 3.0  # length of the fit whose overhead is reported
MATRIX = 2048  # rows and columns of the matrix product that defines the machine's peak
ON_A_GPU = 4  # times as many, because a small product does not fill it


def measure(context: Context) -> dict[str, Any]:
    """speedup, peak_share and overhead_share (medians), and the frontier of params.yaml's networks.

    speedup: images per second of the default network, as a multiple of plain Keras layers, float32 and `fit`.
    peak_share: floating-point operations per second in training, as a share of the fastest matrix product's.
    overhead_share: share of a fit of 3 minutes outside training steps (start-up, tracing, input, validation,
    prediction, saving). frontier: accuracy of each network on some folds, each fitted without the fold and the holdout
    from its own seed. The holdout is not used, so choices by these figures are not made on it.
    """
    spec = context.device.resolve(context.params.train.spec, 1)
    context.console.say(f"on {context.device.where}, {spec.precision}, batches of {spec.batch_size}")
    specs = {name: context.params.network(name) for name in context.params.networks}
    names = sorted(filter(lambda name: context.params.fits(specs[name]), specs), key=lambda name: specs[name].epochs)
    networks = {name: context.device.resolve(specs[name], 1) for name in names}
    with context.console.bar("bench", ROUNDS + len(FOLDS) * len(names), "measurements") as bar:
        speeds = _speeds(spec, MATRIX * (ON_A_GPU if context.device.gpus else 1), bar)
        fits = {name: [] for name in names}  # type: dict[str, list[dict[str, float]]]
        for fold in FOLDS:  # the outer loop, so that slow minutes of the machine affect all networks
            for name, network in networks.items():
                fits[name].append(_fit(context, network, fold))
                bar.advance(1, f"{name}: {fits[name][-1]['accuracy']:.4f}")
    return speeds | {
        "overhead_share": round(_overhead_share(list(fits.values())), 3),
        "frontier": [_point(name, networks[name], fits[name]) for name in names],
    }


def _speeds(spec: CnnSpec, matrix: int, bar: Bar) -> dict[str, Any]:
    """Medians of the ratios within each round. matrix: rows and columns of the matrix product."""
    from benchmarks import workloads  # noqa: PLC0415 - loads TensorFlow

    size = spec.batch_size
    assert isinstance(size, int)
    ours, plain = workloads.ours(spec, IMAGES), workloads.plain_keras(spec, IMAGES)
    short = "float16" if spec.precision == "mixed_float16" else "bfloat16"
    products = {dtype: workloads.matrix_product(dtype, matrix) for dtype in ("float32", short)}
    speeds: dict[str, list[float]] = {name: [] for name in ("ours", "plain", *products)}
    for _ in range(ROUNDS):
        speeds["ours"].append(IMAGES / seconds(ours))
        speeds["plain"].append(IMAGES / seconds(plain))
        for dtype, product in products.items():
            speeds[dtype].append(2 * matrix**3 * workloads.PRODUCTS / seconds(product))
        bar.advance(1, f"{speeds['ours'][-1]:,.0f} images per second, plain Keras {speeds['plain'][-1]:,.0f}")
    peaks = [max(speeds[dtype][round_] for dtype in products) for round_ in range(ROUNDS)]
    per_image = training_operations(parse_layers(spec.layers), (28, 28), 10)
    return {
        "images_per_second": round(median(speeds["ours"])),
        "plain_images_per_second": round(median(speeds["plain"])),
        "speedup": round(median(a / b for a, b in zip(speeds["ours"], speeds["plain"], strict=True)), 2),
        "peak_gflops": {dtype: round(median(speeds[dtype]) / 1e9) for dtype in products},
        "peak_share": round(median(a * per_image / b for a, b in zip(speeds["ours"], peaks, strict=True)), 3),
    }


def _fit(context: Context, spec: CnnSpec, fold: int) -> dict[str, float]:
    """Figures of `benchmarks.one_fit`, in its own process."""
    arguments = {
        "data_folder": str(context.data.folder),
        "spec": spec.model_dump(mode="json"),
        "normalise": context.params.data.normalise,
        "fold": fold,
        "seed": fold,
        "started": time.time(),
    }
    figures: dict[str, float] = json.loads(run_module("benchmarks.one_fit", json.dumps(arguments)).splitlines()[-1])
    return figures


def _overhead_share(fits: list[list[dict[str, float]]]) -> float:
    """Overhead of a fit of OVERHEAD_MINUTES, interpolated between the networks' medians over the seeds."""
    points = sorted((_minutes(network), _overhead(network)) for network in fits)
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
