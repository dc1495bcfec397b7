"""Import TensorFlow without the page of notices that its libraries print while they are loaded."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keep standard error away from native code meanwhile; Python's own exceptions pass as ever.

    TF_CPP_MIN_LOG_LEVEL silences what comes later, but not what is logged before TensorFlow has read it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # "triggered retracing": every network is traced once, and a run has many networks
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
