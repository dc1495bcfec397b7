"""Run one benchmark, print its figures, and keep them in reports/bench-NAME.json."""

import json
import os
import platform
import sys
from importlib import import_module
from pathlib import Path

import click

from digits.cli import options
from digits.cli.context import Context
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.host import processor
from digits.config import Paths, load_params

_COMMAND = click.Command(
    "benchmarks",
    params=[
        click.Argument(["name"], type=click.Choice(["data", "networks"])),
        options.DATA,
        *options.PARAMS,
    ],
    callback=lambda **values: values,
    help=__doc__,
)


def main() -> int:
    """Measure with the files of --data or of data/raw; returns the exit status."""
    console, paths = Console(), Paths(Path.cwd())
    try:
        values = options.parse(_COMMAND)
        if isinstance(values, int):  # the help, which has been printed
            return values
        params = load_params(values["params"], options.overrides(_COMMAND.params, values))
        context = Context(params, paths, console, values["data"] or None)
        if context.source.provenance == "practice":
            raise UserError("the practice set is too small for a benchmark; name the competition's files with DATA=")
        benchmark = import_module(f"benchmarks.{values['name']}")
        figures = benchmark.measure(context)
    except UserError as error:
        console.error(str(error))
        return 2
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = {"machine": machine} | figures
    write_atomic(paths.reports / benchmark.REPORT, json.dumps(result, indent=2) + "\n")
    for name, rows in result.items():
        if isinstance(rows, list):
            cells = [[f"{value}" for value in row.values() if not isinstance(value, dict)] for row in rows]
            console.table([key for key, value in rows[0].items() if not isinstance(value, dict)], cells, name)
    single = {name: value for name, value in result.items() if not isinstance(value, list)}
    console.table(["what", "measured"], [[name, str(value)] for name, value in single.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
