"""What the benchmarks share: the time of a piece of work, and a benchmark's module in its own process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

_ROOT = Path(__file__).parent.parent  # from which `benchmarks` can be imported


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of calling `work` once."""
    started = perf_counter()
    work()
    return perf_counter() - started


def run_module(name: str, *arguments: str) -> str:
    """Standard output of `python -m NAME ARGUMENTS`; paths in `arguments` must be absolute."""
    command = [sys.executable, "-m", name, *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout
