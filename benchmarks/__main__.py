"""Run one benchmark, print its figures, and keep them in reports/bench-NAME.json."""

import argparse
import os
import platform
import shlex
import sys
from importlib import import_module
from pathlib import Path

from digits.cli.context import Context
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import write_json
from digits.common.host import processor
from digits.config import Paths, load_params


def main() -> int:
    """Measure with the files that DATA names or data/raw holds; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("baseline", "data", "networks"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--set", default="")
    parser.add_argument("--data", default="")
    options = parser.parse_args()
    console, paths = Console(), Paths(Path.cwd())
    try:
        context = Context(load_params(options.params, shlex.split(options.set)), paths, console, options.data or None)
        if context.source.provenance == "practice":
            raise UserError("the practice set is too small to measure with; name the real files with DATA=")
        benchmark = import_module(f"benchmarks.{options.what}")
        figures = benchmark.measure(context)
    except UserError as error:
        console.error(str(error))
        return 2
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = {"machine": machine} | figures
    write_json(paths.reports / benchmark.REPORT, result)
    for name, rows in result.items():
        if isinstance(rows, list):
            shown = [[f"{value}" for value in row.values() if not isinstance(value, dict)] for row in rows]
            console.table([key for key, value in rows[0].items() if not isinstance(value, dict)], shown, name)
    single = {name: value for name, value in result.items() if not isinstance(value, list)}
    console.table(["what", "measured"], [[name, str(value)] for name, value in single.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
