"""A file to Kaggle once, whatever happens on the way, and its score.

What is sent carries a mark, `[intent]` in its message. Before anything is sent, and whenever it is not certain whether
it has arrived, Kaggle's list of submissions is asked for the mark; nothing else is believed.
"""

import re
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import KaggleParams
from digits.kaggle.api import Kaggle, KaggleError
from digits.kaggle.client import Submission
from digits.kaggle.ledger import Ledger, Line, State

# kinds of problems after which nothing was submitted
_CERTAIN = ("credentials", "rules", "missing", "refused", "busy", "lost", "local")


def mark(intent: str) -> str:
    """What the message of an intent has and no other."""
    return f"[{intent}]"


class Uploader:
    """Everything about one competition's intents that needs Kaggle. params: how long to wait for what."""

    def __init__(self, kaggle: Kaggle, ledger: Ledger, params: KaggleParams, console: Console):
        self._kaggle = kaggle
        self._ledger = ledger
        self._params = params
        self._console = console

    def deliver(self, intent: str, path: Path) -> Line:
        """See to it that the file of an intent is submitted; returns its line of the ledger.

        Raises UserError where it is not, and where Kaggle cannot score it.
        """
        with self._submitting():
            line = self._line(intent)
            if line["state"] in ("uploaded", "scored"):
                return line
            # one that was being sent when its command ended may still be on its way
            found = self._find(intent, self._params.listing_timeout if line["state"] == "uploading" else 0.0)
            if found is None:
                self._refuse_beyond_limit()
                found = self._send(line, path)
            return self._note(line, found)

    def _send(self, line: Line, path: Path) -> Submission:
        """Upload until it is listed, or a problem that will not pass is met, or there were tries enough.

        It has failed only where every try has certainly failed; otherwise it may still arrive, and stays `uploading`.
        """
        uncertain = False
        for attempt in range(self._params.retries + 1):
            self._add(line, "uploading")
            problem: KaggleError | None = None
            try:
                with self._console.waiting("Kaggle to take the file"):
                    self._kaggle.send(path, line["message"])
            except KaggleError as error:
                problem = error
            uncertain = uncertain or problem is None or problem.kind not in _CERTAIN
            if found := self._look(line["intent"], self._params.listing_timeout if uncertain else 0.0):
                return found
            if problem is None:
                problem = KaggleError(
                    f"Kaggle does not list the file {self._params.listing_timeout:g} s after it was sent; the same "
                    "command looks again before it sends anything",
                    "unlisted",
                )
            if not problem.passing or attempt == self._params.retries:
                self._add(line, "uploading" if uncertain else "failed", reason=str(problem))
                raise problem
            pause = self._params.backoff * 2**attempt if problem.after is None else problem.after
            self._console.warn(f"{problem}\nit is not listed; trying again in {pause:g} s")
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _look(self, intent: str, seconds: float) -> Submission | None:
        """As `_find`, after something was sent."""
        try:
            return self._find(intent, seconds)
        except KaggleError as error:
            raise KaggleError(
                f"{error}\nwhether the file has arrived is not known; the same command looks before it sends anything",
                error.kind,
            ) from None

    def _find(self, intent: str, seconds: float) -> Submission | None:
        """The submission that carries the mark, as soon as it is listed, but for so many seconds at most."""
        deadline = time.monotonic() + seconds
        with self._console.waiting("Kaggle's list") if seconds else nullcontext():
            while True:
                for each in self._kaggle.submissions():
                    if mark(intent) in each.message:
                        return each
                if time.monotonic() + self._params.poll_interval > deadline:
                    return None
                time.sleep(self._params.poll_interval)

    def _refuse_beyond_limit(self) -> None:
        limits = self._kaggle.limits()
        if limits.allowed == 0 and limits.ever:
            raise UserError("Kaggle allows no more submissions to this competition: as many as there may be were made")
        if limits.allowed == 0:
            now = datetime.now(UTC)
            next_day = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
            hours = (next_day - now).total_seconds() / 3600
            raise UserError(
                f"Kaggle allows no more submissions today ({limits.today} were made); the next day begins in "
                f"{hours:.1f} hours, the same command sends it then"
            )
        if limits.allowed is not None:
            self._console.say(f"Kaggle: {limits.today} submissions today, {limits.allowed} more are allowed")

    def times_listed(self, first: str) -> int:
        """How many times a file was submitted whose intents are `first`, `first`-2 and so on, as Kaggle lists them."""
        marks = re.compile(rf"\[{re.escape(first)}(?:-(\d+))?\]")
        found = [match for each in self._kaggle.submissions() if (match := marks.search(each.message))]
        return max((int(match[1] or 1) for match in found), default=0)

    def score(self, intent: str) -> Line:
        """Wait for an uploaded file's score for as long as the params say; returns its line of the ledger.

        Raises UserError where Kaggle cannot score it, or does not list it any more.
        """
        line = self._line(intent)
        deadline = time.monotonic() + 60 * self._params.score_timeout
        with self._console.waiting("the score; Ctrl-C leaves it to make score"):
            while line["state"] == "uploaded":
                if (found := self._find(intent, 0.0)) is None:
                    raise UserError(
                        f"Kaggle lists no submission {mark(intent)} any more; kaggle.com/c/{self._kaggle.slug}"
                    )
                line = self._note(line, found)
                if line["state"] == "uploaded":
                    if time.monotonic() + self._params.poll_interval > deadline:
                        break
                    time.sleep(self._params.poll_interval)
        return line

    def settle(self, intent: str) -> Line:
        """What has become of an intent that a command left in the middle of its upload, or waiting for its score."""
        with self._submitting():
            line = self._line(intent)
            if line["state"] == "uploading":
                if found := self._find(intent, self._params.listing_timeout):
                    line = self._note(line, found)
                else:
                    line = self._add(
                        line, "failed", reason="the command that sent it was ended, and it has not arrived"
                    )
        return self.score(intent) if line["state"] == "uploaded" else line

    def _submitting(self) -> AbstractContextManager[None]:
        """No other command submits meanwhile; waits for as long as one may take."""
        tries = self._params.retries + 1
        longest = float(
            tries * (2 * self._params.timeout + self._params.listing_timeout + self._params.backoff * 2**tries)
        )
        return self._ledger.submitting(longest, lambda: self._console.waiting("another command, which is submitting"))

    def _note(self, line: Line, found: Submission) -> Line:
        """Enter in the ledger what Kaggle lists, where it is news. Raises UserError where it could not be scored."""
        line = self._line(line["intent"])  # another command may have entered it meanwhile
        if found.status != "error" and line["state"] not in ("uploaded", "scored"):
            line = self._add(line, "uploaded", ref=found.ref)
        if found.status == "complete" and line["state"] != "scored" and _is_number(found.public_score):
            line = self._add(line, "scored", public_score=found.public_score, ref=found.ref)
        if found.status == "error":
            reason = f"Kaggle could not score it: {found.reason or 'it does not say why'}"
            if (line["state"], line["ref"]) != ("failed", found.ref):
                self._add(line, "failed", reason=reason, ref=found.ref)
            raise UserError(f"{line['file']}: {reason}; FORCE=1 sends it once more")
        return line

    def _add(self, line: Line, state: State, **news: str) -> Line:
        return self._ledger.append(line | {"reason": ""} | news, state, now())

    def _line(self, intent: str) -> Line:
        return self._ledger.intents(self._kaggle.slug)[intent]


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def now() -> str:
    """The time, for the ledger."""
    return datetime.now(UTC).isoformat(timespec="seconds")
