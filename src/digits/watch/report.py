"""The report as it stands, made of a mirror of the files: reading results may cache some and set damaged ones aside."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from digits.config import Paths

_PAUSE = 10.0  # least seconds between two reports


@contextmanager
def mirror(paths: Paths) -> Iterator[Paths]:
    """A temporary project whose runs, reports and submissions are links to these; what is written there is lost."""
    with TemporaryDirectory(prefix="digits-watch-") as folder:
        mirrored = Paths(Path(folder))
        for source, target, without in (
            (paths.runs, mirrored.runs, ".*"),
            (paths.reports, mirrored.reports, "*.html"),  # pages of other commands, which are not served
            (paths.submissions, mirrored.submissions, "*.lock"),
        ):
            if source.is_dir():
                with suppress(shutil.Error):  # of files that another command has removed meanwhile
                    shutil.copytree(
                        source.resolve(), target, copy_function=os.symlink, ignore=shutil.ignore_patterns(without)
                    )
        yield mirrored


class FreshReport:
    """The report, made again when it is asked for and something has changed since, at most every ten seconds."""

    def __init__(self, paths: Paths, make: Callable[[Paths], str]):
        self._paths, self._make = paths, make
        self._lock, self._made, self._html = threading.Lock(), -_PAUSE, ""
        self._state: set[tuple[Path, int]] | None = None

    def html(self) -> str:
        """The page."""
        with self._lock:
            if monotonic() - self._made > _PAUSE and (state := self._now()) != self._state:
                with mirror(self._paths) as mirrored:
                    self._html = self._make(mirrored)
                self._state, self._made = state, monotonic()
            return self._html

    def _now(self) -> set[tuple[Path, int]]:
        """Folders that change when a fit, a blend or a search ends, and the ledger; with their times."""
        paths = self._paths
        folders = [paths.reports, paths.processed, *paths.runs.glob("[!.]*/"), *paths.studies.glob("[!.]*/found.json")]
        times = set()
        for path in (paths.runs, paths.ledger, *folders):
            with suppress(FileNotFoundError):
                times.add((path, path.stat().st_mtime_ns))
        return times
