"""Show the training and the search that run, in a browser on this computer."""

import os
import sys
import webbrowser
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from digits.cli.context import Context, Outcome
from digits.common.code_version import commit
from digits.config import Paths
from digits.report.gather import gather
from digits.report.page import render
from digits.watch.page import Watched, answers
from digits.watch.report import FreshReport
from digits.watch.server import Server


def run(context: Context) -> Outcome:
    """Serve the page until it is interrupted; nothing of the project is changed."""
    report = FreshReport(context.paths, lambda mirrored: _report(context, mirrored))
    with Server(answers(Watched(context.paths, context.params.competition.slug), report.html)) as server:
        context.console.say(
            f"{server.address}   shows what runs here, on this computer alone; Ctrl-C ends this, and nothing else",
            copied=True,
        )
        if _on_desktop():
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.2)
    return Outcome("ended; it has changed nothing", True)


def _report(context: Context, mirrored: Paths) -> str:
    """The page of `make report`, of the files as they are now: another command may have brought the data meanwhile."""
    now = replace(context)
    data = now.prepared if now.paths.processed.is_dir() else None  # a search for files would write practice images
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return render(gather(now.params, data, mirrored), commit(now.paths.root), made)


def _on_desktop() -> bool:
    """Whether somebody sits before a screen of this computer."""
    screen = sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return screen and "SSH_CONNECTION" not in os.environ and sys.stdout.isatty()
