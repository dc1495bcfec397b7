"""List what is in runs/, and what uses it."""

from time import time

from digits.cli.context import Context, Outcome
from digits.report.inventory import COLUMNS


def run(context: Context) -> Outcome:
    """Print a line for everything in runs/. Nothing is fitted or measured for it."""
    items, fault = context.inventory
    context.console.table(COLUMNS, [item.cells(time()) for item in items])
    if fault:
        context.console.warn(f"it is unknown which commands use them: {fault}")
    unused = [item for item in items if item.user == ""]
    size, spare = (sum(item.size for item in each) / 1e6 for each in (items, unused))
    steps = ("make clean-runs   removes what no command uses; it asks first",) if unused else ()
    return Outcome(f"{size:,.1f} MB; no command uses {spare:,.1f} MB of it", True, steps)
