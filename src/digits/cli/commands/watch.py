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
from digits.data.dataset import Dataset
from digits.report.gather import gather
from digits.report.page import render
from digits.training.candidates import namer
from digits.watch.page import Watched, answers
from digits.watch.report import FreshReport
from digits.watch.server import Server


def run(context: Context) -> Outcome:
    """Serve the page until it is interrupted; nothing of the project is changed."""
    report = FreshReport(context.paths, lambda mirrored: _report(context, mirrored))
    paths, params = context.paths, context.params
    watched = Watched(paths, params.competition.slug, lambda: namer(params, _data(context), paths.studies))
    with Server(answers(watched, report.html)) as server:
        context.console.say(
            f"{server.address}   shows what runs here, on this computer alone; Ctrl-C ends this, and nothing else",
            copied=True,
        )
        if _on_desktop():
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.2)
    context.console.say("\nended; it has changed nothing")  # below the ^C of the terminal
    return Outcome("", True)


def _data(context: Context) -> Dataset | None:
    """The data as they are now: another command may have brought them; a search for files would write practice ones."""
    return replace(context).prepared if context.paths.processed.is_dir() else None


def _report(context: Context, mirrored: Paths) -> str:
    """The page of `make report`, of the files as they are now."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return render(gather(context.params, _data(context), mirrored), commit(context.paths.root), made)


def _on_desktop() -> bool:
    """Whether somebody sits before a screen of this computer."""
    screen = sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return screen and "SSH_CONNECTION" not in os.environ and sys.stdout.isatty()
