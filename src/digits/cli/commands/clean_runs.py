"""Remove from runs/ what nothing uses any more, or what the user names."""

import sys
from time import time

from digits.cli.context import Context, Outcome
from digits.common.files import in_use, remove_folder
from digits.common.matching import select_names
from digits.report.inventory import COLUMNS


def run(context: Context) -> Outcome:
    """Remove what ONLY names, used or not, or else what nothing uses; name it, and ask before.

    Without a terminal it is removed with FORCE only. Raises UserError where another command is at work in runs/.
    """
    items, fault = context.inventory
    named = select_names(context.only, [item.name for item in items], "entry of runs/")
    doomed = [item for item in items if item.name in named and (context.only or item.user == "")]
    size = f"{sum(item.size for item in doomed) / 1e6:,.1f} MB"
    if fault:
        context.console.warn(f"which commands use them is not known: {fault}; ONLY removes by name")
    if not doomed:
        return Outcome("there is nothing that nothing uses", False)
    context.console.table(COLUMNS, [item.cells(time()) for item in doomed])
    if not context.force and not (
        sys.stdin.isatty() and input(f"remove these, {size}? [y/N] ").lower() in ("y", "yes")
    ):
        return Outcome(f"{size} left as they are; FORCE=1 removes them without asking", True)
    with in_use(context.paths.runs, alone=True):  # so what looks unfinished is, and nothing is read or fitted meanwhile
        for path in (path for item in reversed(doomed) for path in item.paths):  # what lies in another, before that
            remove_folder(path)
    return Outcome(f"{size} removed", True)
