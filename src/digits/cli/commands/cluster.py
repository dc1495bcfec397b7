"""Run a Dask cluster on this computer, to try out what CLUSTER= does."""

from contextlib import suppress
from threading import Event

import joblib

from digits.cli.context import Context, Outcome


def run(context: Context) -> Outcome:
    """Start a scheduler and workers, and wait until they are interrupted."""
    from digits.cluster.local import local_cluster  # noqa: PLC0415 - it needs Dask

    workers = context.workers or joblib.cpu_count()
    with suppress(KeyboardInterrupt), local_cluster(workers) as (address, dashboard):
        shown = f", dashboard {dashboard}" if dashboard else ""
        context.console.say(
            f"{address}   {workers} workers of one thread, for this computer alone{shown}; Ctrl-C ends them. Type in "
            f"another terminal:\n  make baseline CLUSTER={address}",
            copied=True,
        )
        Event().wait()
    return Outcome("ended; no worker is left", True)
