"""Sessions on Kaggle, each of which ends with the command that has begun it, whatever happens to that command.

A file below `folder` names a kernel before it is pushed, and is removed once the kernel is deleted. A command that is
killed leaves the file, and the next command deletes that kernel: a session that runs on uses up the account's hours.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

from digits.common.console import Console, by_the_clock
from digits.common.errors import UserError
from digits.common.files import exclusive, write_atomic
from digits.common.sealed import read_json, write_json
from digits.config import KaggleParams
from digits.kaggle.api import CompetitionApi
from digits.kaggle.failures import KaggleError, retry
from digits.kaggle.messages import WAITS, Output, Session

_LONGEST = 41  # characters of a name; with nine that make it unique, 50 are the longest title that Kaggle takes
_RARELY = 5  # times as long between two looks at a session as between two looks at a list
_LATE = 600.0  # seconds after its time at which a session is ended from here
_PROGRESS = re.compile(r" s of about \d+ s")  # in lines of a bar
_WANTED = re.compile(r"[\w-]+(\.[\w-]+)*\.(zip|json|txt|csv)")  # names of what is fetched; all else is of Kaggle
LOG = "session.log"  # of the last session


@dataclass(frozen=True)
class Kernel:
    """A kernel with a session. version: as Kaggle counts; None if it does not say. seconds: that it may run."""

    slug: str
    version: int | None
    seconds: int


class Sessions:
    """The sessions of one project. folder: of their files. params: timeouts and retries."""

    def __init__(self, api: CompetitionApi, folder: Path, params: KaggleParams, console: Console):
        self._api = api
        self._folder = folder
        self._params = params
        self._console = console

    def alone(self) -> AbstractContextManager[None]:
        """A lock for the time in which this project has a session; raises UserError if another command has one."""
        message = "another command of this project uses Kaggle's machines; type the same command when it has ended"
        return exclusive(self._folder / ".lock", 0.0, message)

    @contextmanager
    def pushed(self, script: str, gpu: bool, internet: bool, seconds: int, keep: bool = False) -> Iterator[Kernel]:
        """A session that runs the script; at the end of the block it is deleted, whatever has happened.

        keep: the finished kernel is kept if nothing has failed, because it is what is submitted.

        A push that fails is tried again under a new name, once what it may have begun is deleted.
        """
        pending: list[str] = []
        unsure = False  # whether a push may still be on its way

        def attempt() -> Kernel:
            nonlocal unsure
            while pending:
                self._api.kernel("delete", kernel=pending[-1])
                self._forget(pending.pop(), unsure)
            pending.append(f"digits-{self._api.slug.lower()}"[:_LONGEST].rstrip("-") + f"-{secrets.token_hex(4)}")
            write_json(self._file(pending[0]), {"fits": not keep})
            unsure = True
            try:
                with self._console.status("starting a session on Kaggle"):
                    version = self._api.kernel_once(
                        "push", kernel=pending[0], text=script, gpu=gpu, internet=internet, seconds=seconds
                    )
            except KaggleError as error:
                unsure = not error.failure.certain
                raise
            unsure = False
            return Kernel(pending[0], version, seconds)

        try:
            yield retry(attempt, self._params, self._console.warn)
            if keep:
                self._forget(pending.pop(), unsure)
        finally:
            for slug in pending:
                self._end(slug, unsure)

    def _end(self, slug: str, unsure: bool = False) -> None:
        """Delete a kernel, or tell that it could not be deleted; unsure: see `_forget`."""
        try:
            self._api.kernel("delete", kernel=slug)
        except KaggleError as error:
            self._console.warn(f"{error}\nthe session {slug} may still run on Kaggle; the next command ends it")
        else:
            self._forget(slug, unsure)

    def _forget(self, slug: str, unsure: bool) -> None:
        """Remove the file of a deleted kernel; unsure: not if its push may still arrive, for the next command."""
        if not unsure:
            self._file(slug).unlink(missing_ok=True)

    def follow(self, kernel: Kernel, minutes: float) -> Session:
        """Show the session's log and time until it ends; returns how. minutes: that its work takes.

        Raises UserError if it does not end in time.
        """
        with self._console.status("waiting for a machine of Kaggle; Ctrl-C ends the session"):
            started = monotonic()
            while (session := self._state(kernel.slug)).state in WAITS:
                if session.state == "none" and monotonic() - started > self._params.listing_timeout:
                    raise UserError(f"Kaggle no longer has the session {kernel.slug}; type the same command again")
                sleep(_RARELY * self._params.poll_interval)
        known, started = 0, monotonic()
        with self._console.bar("Kaggle", minutes, "minutes") as bar:
            tick = by_the_clock(bar)
            while not session.over:
                lines = self._api.kernel("log", kernel=kernel.slug, known=known)
                known += len(lines)
                self._show(lines, tick)
                sleep(_RARELY * self._params.poll_interval)
                session = self._state(kernel.slug)
                if monotonic() - started > kernel.seconds + _LATE:
                    raise UserError(f"the session on Kaggle has not ended in {kernel.seconds / 60:.0f} minutes")
        return session

    def _show(self, lines: list[str], tick: Callable[..., None]) -> None:
        """Print lines of a log; those of a bar go to the bar here."""
        for line in (part.rstrip() for text in lines for part in text.splitlines() if part.strip()):
            if _PROGRESS.search(line):
                tick(line.partition(": ")[2])
            else:
                self._console.say(f"  {line}")
        tick()

    def fetch(self, kernel: str, target: Path) -> Output:
        """Download what a session has left to the folder `target`; what is there already is kept."""
        target.mkdir(parents=True, exist_ok=True)
        output: Output = self._api.kernel("output", kernel=kernel)
        write_atomic(self._folder / LOG, _text(output.log))
        files = [file for file in output.files if _WANTED.fullmatch(file[0])]
        with self._console.bar("download", len(files), "files") as bar:
            for name, address in files:
                if not (target / name).exists():
                    self._api.kernel("fetch", address=address, path=str(temporary := target / f".{name}"))
                    temporary.replace(target / name)
                bar.advance(1, name)
        return replace(output, log=_text(output.log))

    def end_abandoned(self, keep: Callable[[str], object] | None = None) -> None:
        """End the sessions of commands that were killed, unless a command of this project uses its own now.

        keep: fetches what a session has left that has ended by itself; None: it is left for a command that can.
        """
        if not (left := [path.stem for path in sorted(self._folder.glob("*.json"))]):
            return
        with suppress(UserError), self.alone():
            for slug in left:
                try:
                    self._end_left(slug, keep)
                except KaggleError as error:
                    self._console.warn(f"{error}\nthe session {slug} of a killed command may still run on Kaggle")

    def _end_left(self, slug: str, keep: Callable[[str], object] | None) -> None:
        session, fits = self._state(slug), (read_json(self._file(slug)) or {}).get("fits")
        if session.state == "complete" and fits and not keep:
            self._console.say(f"Kaggle has finished {slug}, whose command was killed; make kaggle-gpu fetches its fits")
            return
        if session.state in ("complete", "error") and fits and keep:
            keep(slug)
        self._end(slug)
        if session.state != "none" and not self._file(slug).exists():
            self._console.say(f"ended the session {slug} on Kaggle, whose command was killed")

    def _state(self, slug: str) -> Session:
        found: Session = self._api.kernel("status", kernel=slug)
        return found

    def _file(self, slug: str) -> Path:
        return self._folder / f"{slug}.json"


def _text(log: str) -> str:
    """The text of a log, which Kaggle keeps as a list of pieces in JSON."""
    with suppress(ValueError, TypeError, KeyError):
        return "".join(str(piece["data"]) for piece in json.loads(log))
    return log
