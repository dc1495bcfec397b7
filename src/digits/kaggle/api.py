"""Kaggle: every question with a limit of time, every refusal in one line, another try where one may help."""

import os
import threading
import time
from contextlib import ExitStack
from functools import cached_property
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from digits.common.console import Bar, Console
from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, run_in_subprocess
from digits.config import KaggleParams
from digits.kaggle.client import (
    Answer,
    Downloaded,
    Limits,
    Order,
    Problem,
    Ready,
    SignedIn,
    Standing,
    Submission,
    converse,
)
from digits.kaggle.credentials import NEW_TOKEN, Credentials, credentials

_LONGEST_PAUSE = 120.0  # seconds that are waited because Kaggle says so
_PASSING = ("busy", "fault", "network", "lost", "nonsense", "late")  # kinds of problems that another try may not meet


class KaggleError(UserError):
    """Kaggle did not do what was asked of it. kind: as in digits.kaggle.client, or late. after: seconds to wait."""

    def __init__(self, text: str, kind: str, after: float | None = None):
        super().__init__(text)
        self.kind = kind
        self.after = after

    @property
    def passing(self) -> bool:
        """Whether another try may help, soon."""
        return self.kind in _PASSING and (self.after or 0) <= _LONGEST_PAUSE


class Kaggle:
    """One competition, seen with the credentials of whoever types the command."""

    def __init__(self, slug: str, patience: KaggleParams, console: Console):
        self.slug = slug
        self._patience = patience
        self._console = console
        self._introduced = False
        self._talk: _Conversation | None = None

    @cached_property
    def credentials(self) -> list[Credentials]:
        """Those that there were before Kaggle was asked; its client removes a login that has expired."""
        return credentials(os.environ, Path.home())

    def limits(self) -> Limits:
        """How many submissions are left today. Raises KaggleError, as all that follow."""
        found: Limits = self._ask("limits")
        return found

    def submissions(self) -> list[Submission]:
        """The latest submissions, newest first."""
        found: list[Submission] = self._ask("submissions")
        return found

    def standing(self) -> Standing:
        """Where the account stands, and who is ahead."""
        found: Standing = self._ask("standing")
        return found

    def send(self, path: Path, message: str) -> None:
        """Upload a file, once: whether it has arrived says the list alone, and so after a failure too."""
        self._ask_once("send", path=str(path), message=message)

    def download(self, folder: Path) -> Path:
        """Fetch the competition's archive into `folder`; what an earlier try has left there is gone on with."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            progress = _Progress(self._console, stack, self._patience.timeout)
            return Path(self._ask("download", progress, folder=str(folder)))

    def _ask(
        self,
        what: str,
        progress: "_Progress | None" = None,
        **given: Any,
    ) -> Any:
        """Ask until there is an answer, or a problem that will not pass, or there were tries enough."""
        for attempt in range(self._patience.retries + 1):
            try:
                return self._ask_once(what, progress, **given)
            except KaggleError as error:
                if not error.passing or attempt == self._patience.retries:
                    raise
                pause = self._patience.backoff * 2**attempt if error.after is None else error.after
                self._console.warn(f"{error}\ntrying again in {pause:g} s")
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _ask_once(self, what: str, progress: "_Progress | None" = None, **given: Any) -> Any:
        known = self.credentials
        talk = self._talk = self._talk or _Conversation()
        if progress:
            progress.begin()
        talk.ask(Order(what, self.slug, given))
        try:
            while True:
                match talk.hear(self._patience.timeout):
                    case SignedIn() as who:
                        self._introduce(who, known)
                    case Downloaded() as now if progress:
                        progress.advance(now)
                    case Answer(value):
                        return value
                    case Problem(kind, detail, after):
                        raise self._fault(kind, detail, after)
                    case ProcessDiedError() as error:
                        raise error
        except KaggleError:
            raise
        except BaseException as error:
            # it may still be waiting for Kaggle, so its answer is not for the next question
            self._talk = None
            talk.end()
            if isinstance(error, ProcessTimeoutError):
                raise self._fault("late", str(error)) from None
            if isinstance(error, ProcessDiedError):
                raise self._fault("nonsense", str(error)) from None
            raise

    def _introduce(self, who: SignedIn, known: list[Credentials]) -> None:
        """Say once which credentials are used, and that others can read them where that is so."""
        if self._introduced:
            return
        self._introduced = True
        used = next((each for each in known if each.method == who.method), None)
        if known and used is not known[0]:
            self._console.warn(f"Kaggle does not accept {known[0].where}; remove it, or it is in the way of the others")
        self._console.say(f"Kaggle: {who.user or 'signed in'}, by {used.where if used else who.method}")
        if used and used.exposed:
            self._console.warn(f"{used.file} can be read by other users of this computer; type: chmod 600 {used.file}")

    def _fault(self, kind: str, detail: str, after: float | None = None) -> KaggleError:
        """The problem in a line, with what to do about it."""
        known = self.credentials
        because = f" ({detail})" if detail else ""
        texts = {
            "credentials": f"Kaggle does not accept {known[0].where}: it is not valid, or expired; {known[0].remedy}"
            if known
            else f"no Kaggle credentials; {NEW_TOKEN}",
            "rules": f"Kaggle refuses{because}: accept the competition's rules at kaggle.com/c/{self.slug}/rules, "
            "with the same account, then type the same again; without such a page, see competition.slug in params.yaml",
            "missing": f"Kaggle has no competition called {self.slug}; see competition.slug in params.yaml",
            "refused": f"Kaggle refuses{because}; see kaggle.com/c/{self.slug}",
            "busy": f"Kaggle is asked too often{because}; type the same again in some minutes",
            "fault": f"Kaggle has a fault of its own{because}; type the same again in some minutes",
            "local": f"Kaggle's client cannot use a file here{because}; see to it, then type the same again",
            "network": f"no connection to Kaggle{because}; type the same again once there is one",
            "lost": f"the upload did not arrive{because}; type the same again",
            "nonsense": f"Kaggle's answer is none{because}; is a login page of this network in between? "
            "Type the same again once kaggle.com opens in a browser",
            "late": f"Kaggle takes too long{because}; type the same again later",
        }
        return KaggleError(texts[kind], kind, after)


class _Conversation:
    """A process in which Kaggle is asked one thing after the other; it ends with this one."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Order] = SimpleQueue()
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._stop = threading.Event()
        threading.Thread(target=self._hold, daemon=True).start()

    def ask(self, order: Order) -> None:
        """Put a question; the one before must be answered."""
        self._asked.put(order)

    def hear(self, seconds: float) -> Any:
        """What it says next. Raises ProcessTimeoutError where it says nothing for so long."""
        try:
            return self._heard.get(timeout=seconds)
        except Empty:
            raise ProcessTimeoutError(f"it has said nothing for {seconds:g} s") from None

    def end(self) -> None:
        """End the process, whatever it does."""
        self._stop.set()

    def _hold(self) -> None:
        try:
            run_in_subprocess(converse, dict(os.environ), self._answer, inf, stop=self._stop)
        except ProcessDiedError as error:
            self._heard.put(error)

    def _answer(self, message: Any) -> Order | None:
        if not isinstance(message, Ready):
            self._heard.put(message)
        return self._asked.get() if isinstance(message, Ready | Answer | Problem) else None


class _Progress:
    """A bar of megabytes over all tries of a download; what is there from an earlier try counts."""

    def __init__(self, console: Console, stack: ExitStack, timeout: float):
        self._console = console
        self._stack = stack
        self._timeout = timeout
        self._bar: Bar | None = None
        self._shown = 0
        self.begin()

    def begin(self) -> None:
        """Another try: it has time of its own for its first piece."""
        self._seen, self._since = -1, time.monotonic()

    def advance(self, now: Downloaded) -> None:
        """Move the bar. Raises ProcessTimeoutError where no piece has come for too long."""
        if self._bar is None and now.total:
            self._bar = self._stack.enter_context(self._console.bar("download", now.total / 1e6, "MB"))
        if self._bar:
            self._bar.advance((now.done - self._shown) / 1e6)
            self._shown = now.done
        if now.done != self._seen:
            self._seen, self._since = now.done, time.monotonic()
        elif time.monotonic() - self._since > self._timeout:
            raise ProcessTimeoutError(f"nothing more of the download has come for {self._timeout:g} s")
