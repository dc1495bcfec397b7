"""How fast and with how much memory the competition's files become arrays, beside plain pandas in the same run.

`make bench-data` prints this and writes reports/bench-data.json.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pandas as pd

from digits.config import Competition, Params, Paths, load_params
from digits.console import Console
from digits.dataset import read_train
from digits.errors import UserError
from digits.files import write_json
from digits.machine import peak_memory
from digits.prepared import folder_name, load_prepared
from digits.sources import find_source

REPEATS = 5
MANY = 10  # times as many rows, to see how time and memory grow


def main() -> int:
    """Measure the files that DATA names or data/raw holds; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--set", default="")
    parser.add_argument("--data", default="")
    parser.add_argument("--read", type=Path, help="read this file alone and print seconds and memory")
    options = parser.parse_args()
    console, paths = Console(), Paths(Path.cwd())
    try:
        params = load_params(options.params, shlex.split(options.set))
        if options.read:
            print(json.dumps(_read_alone(options.read, params.competition)))
            return 0
        result = _measure(params, paths, options.data, options.params)
    except UserError as error:
        console.error(str(error))
        return 2
    write_json(paths.reports / "bench-data.json", result)
    console.table(["what", "measured"], [[name, str(value)] for name, value in result.items()])
    return 0


def _measure(params: Params, paths: Paths, named: str, params_file: Path) -> dict[str, Any]:
    """Medians over REPEATS, the two ways of reading in turn."""
    source = find_source(params.competition, paths, named)
    prepared = paths.processed / folder_name(params, source)
    if source.provenance == "practice" or not prepared.is_dir():
        raise UserError("there are no prepared real files to measure; type: make data DATA=path/to/the.zip")
    train = Path(source.folder) / params.competition.train_file

    def cached() -> None:
        found = find_source(params.competition, paths, named)
        load_prepared(paths.processed / folder_name(params, found))

    plain, ours, cache = [], [], []
    for _ in range(REPEATS):
        plain.append(_seconds(lambda: pd.read_csv(train, dtype="uint8")))
        ours.append(_seconds(lambda: read_train(train, params.competition, None)))
        cache.append(_seconds(cached))
    once = _in_process(train, params_file)
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "train.csv"
        _repeat_rows(train, large)
        many = _in_process(large, params_file)
    arrays = many["array_bytes"] / 1e6
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "file": f"{train.stat().st_size / 1e6:.0f} MB",
        "pandas.read_csv(dtype=uint8), seconds": round(median(plain), 3),
        "validated arrays, seconds": round(median(ours), 3),
        "ratio": round(median(a / b for a, b in zip(ours, plain, strict=True)), 2),
        "from the cache, hash of the files included, seconds": round(median(cache), 3),
        "peak memory, MB": round(once["peak_mb"]),
        f"{MANY} times the rows, times the seconds": round(many["seconds"] / once["seconds"], 2),
        f"{MANY} times the rows, peak memory above the arrays' {arrays:.0f} MB": round(many["peak_mb"] - arrays),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _in_process(train: Path, params_file: Path) -> dict[str, float]:
    """Time and memory of reading one file in a process of its own; the median time of three."""
    command = [sys.executable, "-m", "digits.bench_data", "--params", str(params_file), "--read", str(train)]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout) for _ in range(3)]
    return {name: median(run[name] for run in runs) for name in runs[0]}


def _read_alone(train: Path, competition: Competition) -> dict[str, float]:
    started = perf_counter()
    table = read_train(train, competition, None)
    seconds = perf_counter() - started
    return {"seconds": seconds, "peak_mb": peak_memory(), "array_bytes": table.images.nbytes + 8 * len(table.images)}


def _repeat_rows(train: Path, target: Path) -> None:
    with train.open("rb") as file, target.open("wb") as large:
        large.write(file.readline())
        body = file.read()
        for _ in range(MANY):
            large.write(body)


if __name__ == "__main__":
    sys.exit(main())
