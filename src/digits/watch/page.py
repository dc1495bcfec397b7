"""The page of fits and trials, and what it is told every two seconds."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from digits.common.sealed import read_json
from digits.config import Paths
from digits.training.runs import RunSpec
from digits.watch.fits import Logs
from digits.watch.server import Answer

# of the report, whose scripts are in the page
INLINE = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:"
_MOST = 50  # fits and trials on the page
_IDLE = 60.0  # seconds; the file of a search that runs is written more often


class Watched:
    """What happens in a project. namer: makes what gives a run its name."""

    def __init__(self, paths: Paths, title: str, namer: Callable[[], Callable[[RunSpec], str]]):
        self._paths, self._title, self._logs = paths, title, Logs(paths.runs)
        self._namer, self._names = namer, dict[str, str]()

    def state(self) -> dict[str, Any]:
        """title; now: seconds since 1970; fits: see `fits.Fit`, and the name of the run of each; study, trials: of the
        latest search, see `progress`."""
        now = time.time()
        fits = [{"name": self._named(fit.run), **vars(fit)} for fit in self._logs.fits(_MOST)]
        return {"title": self._title, "now": now, "fits": fits, **self._search(now)}

    def _named(self, folder: str) -> str:
        """The name of a run; that of its folder where it cannot be read."""
        if folder not in self._names:
            try:
                self._names[folder] = self._namer()(RunSpec(**read_json(self._paths.runs / folder / "run.json") or {}))
            except TypeError:  # of another version
                return folder
        return self._names[folder]

    def _search(self, now: float) -> dict[str, Any]:
        databases = {path: path.stat().st_mtime for path in self._paths.studies.glob("*/study.db")}
        if not databases:
            return {"study": "", "trials": []}
        from digits.tuning.progress import trials  # noqa: PLC0415 - Optuna takes a second, and only searches need it

        latest = max(databases, key=lambda path: databases[path])
        shown = trials(latest)[:_MOST]
        if now - databases[latest] > _IDLE:  # its command has ended, if by a kill
            shown = [{**trial, "state": "stopped"} if trial["state"] == "running" else trial for trial in shown]
        return {"study": latest.parent.name, "trials": shown}


def answers(watched: Watched, report: Callable[[], str]) -> dict[str, Answer]:
    """The addresses of the server."""
    page = (files("digits.watch") / "page.html").read_text(encoding="utf-8")
    hashes = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    }
    own = "; ".join(f"{kind}-src 'sha256-{value}'" for kind, value in hashes.items())
    return {
        "/": Answer("text/html", lambda: page, f"{own}; img-src data:; connect-src 'self'"),
        "/state.json": Answer("application/json", lambda: json.dumps(watched.state())),
        "/report": Answer("text/html", report, INLINE),
    }
