"""A cluster on this computer alone, to try out what a larger one does."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import dask
from distributed import LocalCluster

from digits.common.errors import UserError

_HOST, PORT = "127.0.0.1", 8786  # Dask's usual port, which CLUSTER= of the examples names


@contextmanager
def local_cluster(workers: int, port: int = PORT) -> Iterator[tuple[str, str]]:
    """A scheduler and so many workers of one thread, as processes that listen on the loopback device alone.

    Yields the scheduler's address, and that of its dashboard; "" where bokeh, which draws it, is missing. All of them
    end with the block, or with this process. port: of the scheduler; 0: a free one. Raises UserError if it is taken.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set({"distributed.worker.daemon": False}), warnings.catch_warnings():  # fits are processes of it
        warnings.simplefilter("ignore")  # where a port is taken, the dashboard takes another one
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host=_HOST,
                scheduler_port=port,
                dashboard_address=f"{_HOST}:8787",
                memory_limit=0,  # a fit is a process of its own, whose memory Dask does not see
            )
        except (OSError, RuntimeError) as error:
            cause = " ".join(str(error.__cause__ or error).split())
            raise UserError(
                f"no cluster could be started: {cause}; end the one that runs, then type the same command"
            ) from None
        with cluster:
            yield cluster.scheduler_address, cluster.dashboard_link if find_spec("bokeh") else ""
