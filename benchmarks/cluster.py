"""What a fit costs more on a cluster than here: both on two cores of this computer.

Type `make data`, then `.venv/bin/python -m benchmarks.cluster data/processed/NAME`. Here and there are measured in
turns, with an open connection, and with the arrays already there.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import seconds
from digits.cluster.client import Cluster
from digits.common.console import Console
from digits.common.executors import Executor, Processes
from digits.config import load_params
from digits.data.dataset import Dataset, load_dataset
from digits.training.parallel import fit_in_parallel
from digits.training.runs import RunSpec, run_spec
from tools.cluster import local_cluster

WORKERS, ROUNDS = 2, 5
# by model: what is changed, so that fits are short; seeds
MODELS: dict[str, tuple[dict[str, Any], int]] = {"mlp-64": ({"max_iter": 2}, 4), "logistic": ({}, 2)}


def fit(data: Dataset, specs: Sequence[RunSpec], executor: Executor, console: Console) -> None:
    """Fit all folds of some runs, and forget them."""
    with TemporaryDirectory() as folder:
        fit_in_parallel(data, Path(folder), specs, executor, console, specs[0].name)


def main(folder: Path) -> None:
    """Print medians over the rounds. folder: of the prepared arrays."""
    params, data, console = load_params(Path("params.yaml")), load_dataset(folder), Console()
    rows = []
    with local_cluster(WORKERS, 0) as (address, _):
        cluster = Cluster(address, False, console)
        executors: list[Executor] = [Processes([None] * WORKERS), cluster]
        for name, (changes, seeds) in MODELS.items():
            model = params.baseline.models[name].model_dump(mode="json") | changes
            specs = [run_spec(name, model, params.data.normalise, seed, data) for seed in range(seeds)]
            for executor in executors:  # loads libraries, sends the arrays
                fit(data, specs[:1], executor, console)
            turns = [[seconds(partial(fit, data, specs, each, console)) for each in executors] for _ in range(ROUNDS)]
            fits = seeds * data.fold_count
            here, there = (median(each) for each in zip(*turns, strict=True))
            more = median((other - own) * WORKERS / fits for own, other in turns)
            rows.append([name, f"{fits}", f"{here:.1f} s", f"{there:.1f} s", f"{more:.2f} s"])
        cluster.close()
    console.table(["model", "fits", "here", "on a cluster", "more per fit, of a worker"], rows, f"{WORKERS} workers")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
