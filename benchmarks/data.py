"""Time and memory of reading the competition's files into arrays, against plain pandas in the same run."""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pandas as pd

from benchmarks.measuring import run_module, seconds
from digits.cli.context import Context
from digits.common.host import peak_memory
from digits.config import Competition
from digits.data.csv_reader import Table, read_table
from digits.data.dataset import load_dataset
from digits.data.sources import find_source, folder_name

REPORT = "bench-data.json"
REPEATS = 5
MANY = 10  # times as many rows, to see how time and memory grow


def measure(context: Context) -> dict[str, Any]:
    """Medians over REPEATS, pandas and ours in turn. Raises UserError if there are no prepared arrays."""
    params, source = context.params, context.source
    load_dataset(context.data_folder)  # raises UserError if the cache is empty
    train = (Path(source.folder) / params.competition.train_file).resolve()

    def cached() -> None:
        hashed = find_source(params.competition, context.paths, context.data_path)
        load_dataset(context.paths.processed / folder_name(params, hashed))

    plain, ours, cache = [], [], []
    for _ in range(REPEATS):
        plain.append(seconds(lambda: pd.read_csv(train, dtype="uint8")))
        ours.append(seconds(lambda: _read(train, params.competition)))
        cache.append(seconds(cached))
    once = _in_subprocess(train, params.competition)
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "train.csv"
        _repeat_rows(train, large)
        many = _in_subprocess(large, params.competition)
    arrays = many["array_bytes"] / 1e6
    return {
        "file": f"{train.stat().st_size / 1e6:.0f} MB",
        "pandas.read_csv(dtype=uint8), seconds": round(median(plain), 3),
        "validated arrays, seconds": round(median(ours), 3),
        "ratio": round(median(a / b for a, b in zip(ours, plain, strict=True)), 2),
        "from the cache, hash of the files included, seconds": round(median(cache), 3),
        "peak memory, MB": round(once["peak_mb"]),
        f"{MANY} times the rows, times the seconds": round(many["seconds"] / once["seconds"], 2),
        f"{MANY} times the rows, peak memory above the arrays' {arrays:.0f} MB": round(many["peak_mb"] - arrays),
    }


def _read(train: Path, competition: Competition) -> Table:
    return read_table(train, competition, [str(competition.label_column)], [], ("train_rows", None))


def _in_subprocess(train: Path, competition: Competition) -> dict[str, float]:
    """Time and memory of reading one file in its own process; medians of three."""
    runs = [json.loads(run_module("benchmarks.data", str(train), competition.model_dump_json())) for _ in range(3)]
    return {name: median(run[name] for run in runs) for name in runs[0]}


def _measure_read(train: Path, competition: Competition) -> dict[str, float]:
    started = perf_counter()
    table = _read(train, competition)
    elapsed = perf_counter() - started
    return {"seconds": elapsed, "peak_mb": peak_memory(), "array_bytes": table.values.nbytes + 8 * len(table.values)}


def _repeat_rows(train: Path, target: Path) -> None:
    with train.open("rb") as file, target.open("wb") as large:
        large.write(file.readline())
        body = file.read()
        for _ in range(MANY):
            large.write(body)


if __name__ == "__main__":  # what _in_subprocess starts
    print(json.dumps(_measure_read(Path(sys.argv[1]), Competition.model_validate_json(sys.argv[2]))))
