"""A Dask cluster on this computer alone, to try out CLUSTER: `make cluster WORKERS=2`."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from threading import Event

import dask
from distributed import LocalCluster

HOST, PORT = "127.0.0.1", 8786  # Dask's usual port, which the examples of docs/cluster.md name


@contextmanager
def local_cluster(workers: int, port: int = PORT) -> Iterator[tuple[str, str]]:
    """A scheduler and so many workers of one thread, as processes that listen on the loopback device alone.

    Yields the scheduler's address, and that of its dashboard; "" where bokeh, which draws it, is missing. All of them
    end with the block, or with this process. port: of the scheduler; 0: a free one. Raises OSError or RuntimeError if
    it is taken.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set({"distributed.worker.daemon": False}), warnings.catch_warnings():  # fits are processes of it
        warnings.simplefilter("ignore")  # where a port is taken, the dashboard takes another one
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host=HOST,
            scheduler_port=port,
            dashboard_address=f"{HOST}:8787",
            memory_limit=0,  # a fit is a process of its own, whose memory Dask does not see
        )
        with cluster:
            yield cluster.scheduler_address, cluster.dashboard_link if find_spec("bokeh") else ""


def main(arguments: list[str]) -> int:
    """Run a cluster until it is interrupted; arguments: the number of workers. Returns the exit status."""
    workers = arguments[0] if arguments else str(os.cpu_count() or 1)
    if not workers.isdigit() or int(workers) < 1:
        print(f"error: WORKERS={workers}: no number of workers; type: make cluster WORKERS=2", file=sys.stderr)
        return 2
    try:
        with suppress(KeyboardInterrupt), local_cluster(int(workers)) as (address, dashboard):
            shown = f", dashboard {dashboard}" if dashboard else ""
            print(
                f"{address}   workers: {workers}, for this computer alone{shown}; Ctrl-C ends them. Type in another "
                f"terminal:\n  make baseline CLUSTER={address}",
                flush=True,
            )
            Event().wait()
    except (OSError, RuntimeError) as error:
        innermost: BaseException = error
        while innermost.__cause__:
            innermost = innermost.__cause__
        cause = " ".join(str(innermost).split())
        print(f"error: no cluster could be started: {cause}; end the one that runs", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
