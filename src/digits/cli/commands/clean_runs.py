"""Remove from runs/ what no command uses any more, or what the user names."""

import sys
from time import time

from digits.cli.context import Context, Outcome
from digits.common.files import in_use, remove_folder
from digits.common.matching import select_names
from digits.report.inventory import COLUMNS


def run(context: Context) -> Outcome:
    """List and, after asking, remove what ONLY names, used or not; without ONLY, what no command uses.

    Without a terminal, remove it with FORCE only. Raises UserError if another command is working in runs/.
    """
    items, fault = context.inventory
    named = select_names(context.only, [item.name for item in items], "entry of runs/")
    doomed = [item for item in items if item.name in named and (context.only or item.user == "")]
    size = f"{sum(item.size for item in doomed) / 1e6:,.1f} MB"
    if fault:
        context.console.warn(f"it is unknown which commands use them: {fault}; ONLY=NAME removes one by name")
    if not doomed:
        return Outcome("nothing to remove: commands use everything in runs/", False)
    context.console.table(COLUMNS, [item.cells(time()) for item in doomed])
    if not context.force and not (
        sys.stdin.isatty() and input(f"Remove these ({size})? [y/N] ").lower() in ("y", "yes")
    ):
        return Outcome(f"nothing removed; make clean-runs FORCE=1 removes these {size} without asking", True)
    with in_use(context.paths.runs, alone=True):  # so what looks unfinished is, and nothing is read or fitted meanwhile
        for path in (path for item in reversed(doomed) for path in item.paths):  # what lies in another, before that
            remove_folder(path)
    return Outcome(f"{size} removed", True)
