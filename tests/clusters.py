"""What the tests of clusters share."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digits.cluster.client import Cluster
from digits.common.console import Console
from digits.common.executors import Job, Place, run_job
from digits.data.dataset import Dataset
from toy_jobs import waits

CONSOLE = Console(plain=True)
SAME_PATHS = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # for processes that import the toy jobs
WAIT = 600.0  # seconds, which only a fault uses up


@contextmanager
def connected(address: str, networks: bool = False) -> Iterator[Cluster]:
    """A connection that ends with the block."""
    cluster = Cluster(address, networks, CONSOLE)
    try:
        yield cluster
    finally:
        cluster.close()


def until(condition: Callable[[], Any], cluster: Cluster | None = None) -> None:
    """Wait until it is true."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, cluster and cluster.members
        time.sleep(0.05)


def never() -> bool:
    """A job is not stopped."""
    return False


def job(task: Any, argument: Any, data: Dataset, results: Path, **more: Any) -> Job:
    """A job on the arrays of `data`."""
    return Job(task, argument, Place(data.folder, results), **more)


def begun(signs: Path) -> list[int]:
    """Processes that have begun a job that waits."""
    return [int(path.name.split("-")[1]) for path in signs.glob("began-*")]


def two_that_wait(
    cluster: Cluster, data: Dataset, signs: Path, told: list[str]
) -> tuple[list[Path], list[threading.Thread]]:
    """Folders of the results of two jobs that have begun to wait for the file `go`, and the threads that run them.

    told: their messages are appended to it.
    """
    runs = [signs / "a", signs / "b"]
    jobs = [job(waits, signs, data, each) for each in runs]
    threads = [threading.Thread(target=run_job, args=(cluster, each, told.append, never), daemon=True) for each in jobs]
    for thread in threads:
        thread.start()
    until(lambda: len(told) == 4)
    return runs, threads
