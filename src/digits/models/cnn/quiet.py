"""Import TensorFlow without the notices that its libraries print while they are loaded."""

import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """Send standard error to the null device within the context; Python's exceptions are raised as usual.

    TF_CPP_MIN_LOG_LEVEL silences later messages, but not those that are logged before TensorFlow has read it. In a
    subprocess, `common.processes` keeps standard error, for the case that the import ends the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # "triggered retracing": every network is traced once, and a run has many networks
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if multiprocessing.parent_process():
        yield
        return
    stderr = os.dup(2)
    with open(os.devnull, "wb") as null:  # noqa: PTH123 - a device, not a path
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
