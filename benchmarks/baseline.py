"""Images per second that scikit-learn fits learn from, one fit at a time and one per core."""

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import joblib

from digits.cli.context import Context
from digits.training.fitting import fit_in_parallel
from digits.training.runs import run_spec

REPORT = "bench-baseline.json"
REPEATS = 5
EPOCHS = 3
MODEL = {
    "kind": "mlp",
    "deskew": False,
    "n_components": None,
    "hidden_layer_sizes": [256, 128],
    "activation": "relu",
    "solver": "adam",
    "alpha": 1e-4,
    "batch_size": 200,
    "learning_rate_init": 1e-3,
    "max_iter": EPOCHS,
    "early_stopping": False,
    "n_iter_no_change": EPOCHS,
}


def measure(context: Context) -> dict[str, Any]:
    """Medians over REPEATS rounds; in each, one worker and then one per core fit the same models.

    The models of a round are one per fold and per seed, with as many seeds as cores, so that all cores have the same
    load. They are fitted by the function of `make baseline`: loading the arrays, predicting and writing are counted,
    starting the workers is not.
    """
    data = context.data
    cores = joblib.cpu_count()
    images = cores * EPOCHS * sum(len(data.train_rows(fold)) for fold in range(data.fold_count))
    speeds: dict[int, list[float]] = {1: [], cores: []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS + 1):
            specs = [run_spec("bench", MODEL, "/255", cores * repeat + core, data) for core in range(cores)]
            for workers, rounds in speeds.items():
                started = perf_counter()
                title = f"round {repeat + 1} of {REPEATS + 1}, WORKERS={workers}"
                fit_in_parallel(data, Path(folder, str(workers)), specs, workers, context.console, title)
                rounds.append(images / (perf_counter() - started))
    # the first round starts the workers and loads the libraries
    single, parallel = (rounds[1:] for rounds in speeds.values())
    return {
        "WORKERS=1, images per second": round(median(single)),
        f"WORKERS={cores}, images per second": round(median(parallel)),
        "ratio": round(median(b / a for a, b in zip(single, parallel, strict=True)), 2),
    }
