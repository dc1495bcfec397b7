"""Uploads a submission exactly once, whatever fails on the way, and waits for its score.

Intent: one planned submission of one file, and the name that identifies it in the ledger (an idempotency key): the
beginning of the file's SHA-256, with -2, -3, ... if the same file is submitted again on purpose.
Tag: `[intent]`, a part of the message that Kaggle shows beside the submission. Before anything is sent, and whenever it
is uncertain whether a file has arrived, Kaggle's list of submissions is searched for the tag; no other answer counts.
The list may be late. So a file that may have arrived is sent again only after a long time, or if the user asks for it.
A file that has a number from Kaggle is sent again only if the user asks for it.
"""

import re
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Protocol

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import KaggleParams
from digits.kaggle.api import CompetitionApi
from digits.kaggle.failures import Failure, KaggleError, retry
from digits.kaggle.ledger import NUMBER, Ledger, Line, State
from digits.kaggle.messages import Submission


def tag(intent: str) -> str:
    """The part of an intent's message that identifies it in Kaggle's list."""
    return f"[{intent}]"


class Sender(Protocol):
    """Sends in two steps what is submitted, as CompetitionApi does for a file."""

    def upload(self, path: Path) -> str:
        """Have Kaggle get what is submitted in place of the CSV `path`; returns Kaggle's name of it."""

    def submit(self, token: str, message: str) -> str:
        """Submit it, without retries; returns the submission's number."""


class Uploader:
    """Uploads the intents of one competition and keeps their lines in the ledger. params: timeouts and retries."""

    def __init__(self, api: CompetitionApi, ledger: Ledger, params: KaggleParams, console: Console):
        self._api = api
        self._ledger = ledger
        self._params = params
        self._console = console

    def submit_once(self, intent: str, path: Path, force: bool = False, sender: Sender | None = None) -> Line:
        """Submit the intent's file unless Kaggle has it; returns the intent's line, `uploaded` or `scored`.

        force: submit also if an earlier upload may still arrive. sender: of code, in place of the file. Raises
        UserError if nothing is submitted, or if Kaggle cannot score the file.
        """
        with self._submitting():
            line = self._settled(intent, force)
            if line["state"] in ("uploaded", "scored"):
                return line
            found = self._find(intent, 0.0)
            if found is None:
                self._check_limits()
                found = self._upload(line, path, sender or self._api)
            return self._record(line, found)

    def _settled(self, intent: str, force: bool = False) -> Line:
        """The intent's line, no longer `uploading`: its upload has arrived or failed. force: see submit_once.

        Raises UserError if it may still arrive.
        """
        line = self._line(intent)
        if line["state"] != "uploading":
            return line
        if found := self._find(intent, self._params.listing_timeout):
            return self._record(line, found)
        if not force and (uncertain := self._uncertain(line)):
            raise UserError(uncertain)
        return self._add(line, "failed", reason="how the upload ended is unknown; the file has not arrived", ref="")

    def _upload(self, line: Line, path: Path, sender: Sender) -> Submission:
        """Upload, with retries, until the submission is listed. Raises KaggleError, with the reason in the ledger.

        The intent is `failed` only if every try certainly submitted nothing; otherwise the file may still arrive, and
        the intent stays `uploading`.
        """
        certain = True  # so far nothing can have been submitted

        def attempt() -> Submission:
            nonlocal line, certain
            with self._console.status("waiting for Kaggle to accept the file"):
                token, error = sender.upload(path), None
                line = self._add(line, "uploading", ref="")
                try:
                    line = line | {"ref": sender.submit(token, line["message"])}
                except KaggleError as failed:
                    error = failed
            certain = certain and error is not None and error.failure.certain
            if not certain:
                if found := self._find_after_upload(line["intent"]):
                    return found
                if uncertain := self._uncertain(line):
                    raise KaggleError(f"{error}\n{uncertain}" if error else uncertain, Failure.UNLISTED)
            assert error
            raise error

        try:
            return retry(attempt, self._params, self._console.warn)
        except KaggleError as error:
            if error.failure is not Failure.UNKNOWN or line["ref"]:
                self._add(line, "failed" if certain else "uploading", reason=str(error).splitlines()[0])
            raise

    def _uncertain(self, line: Line) -> str:
        """The message about an upload that Kaggle does not list; empty once it is old enough to be sent again."""
        if line["ref"]:
            return f"{line['file']}: " + Failure.UNLISTED.message(self._api.slug, f"number {line['ref']}")
        began = datetime.now(UTC)
        with suppress(ValueError):  # a spreadsheet has changed it
            began = datetime.fromisoformat(line["time"]).astimezone(UTC)
        minutes = ceil(self._params.resend_after - (datetime.now(UTC) - began) / timedelta(minutes=1))
        if minutes <= 0:
            return ""
        return (
            f"{line['file']}: it is unknown whether it has arrived, and Kaggle does not list it; if that is still so "
            f"in {minutes} min, make submit sends it again; make submit FORCE=1 sends it at once"
        )

    def _find_after_upload(self, intent: str) -> Submission | None:
        try:
            return self._find(intent, self._params.listing_timeout)
        except KaggleError as error:
            unknown = Failure.UNKNOWN
            raise KaggleError(f"{error}\n{unknown.message(self._api.slug)}", unknown) from None

    def _find(self, intent: str, seconds: float) -> Submission | None:
        """The submission with the intent's tag, or None if Kaggle does not list it within so many seconds."""
        deadline = time.monotonic() + seconds
        with self._console.status("waiting for Kaggle's list") if seconds else nullcontext():
            while True:
                for submission in self._api.submissions():
                    if tag(intent) in submission.message:
                        return submission
                if time.monotonic() + self._params.poll_interval > deadline:
                    return None
                time.sleep(self._params.poll_interval)

    def _check_limits(self) -> None:
        """Raise UserError if Kaggle allows no more submissions."""
        limits = self._api.limits()
        if limits.allowed == 0 and limits.limited_by_total:
            raise UserError("this competition's total limit of submissions is reached; make submissions lists yours")
        if limits.allowed == 0:
            now = datetime.now(UTC)
            next_day = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0)
            hours = (next_day - now).total_seconds() / 3600
            raise UserError(
                f"Kaggle allows no more submissions today ({limits.today} were made); run the same command again in "
                f"{hours:.1f} hours, when the next day (UTC) begins"
            )
        if limits.allowed is not None:
            self._console.say(f"Kaggle: {limits.today} submissions today, {limits.allowed} more are allowed")

    def times_listed(self, first: str) -> int:
        """The highest number of a file's intents that Kaggle lists: `first` (1), `first`-2, ...; 0 if it lists none."""
        tags = re.compile(rf"\[{re.escape(first)}(?:-(\d+))?\]")
        matches = [match for submission in self._api.submissions() if (match := tags.search(submission.message))]
        return max((int(match[1] or 1) for match in matches), default=0)

    def wait_for_score(self, intent: str) -> Line:
        """Wait for an uploaded file's score, params.score_timeout minutes at most; returns the intent's line.

        Raises UserError if Kaggle cannot score it, or no longer lists it.
        """
        line = self._line(intent)
        deadline = time.monotonic() + 60 * self._params.score_timeout
        with self._console.status("waiting for the score; Ctrl-C stops waiting, and make score asks again"):
            while line["state"] == "uploaded":
                if (found := self._find(intent, 0.0)) is None:
                    raise UserError(
                        f"Kaggle no longer lists the submission {tag(intent)}; see kaggle.com/c/{self._api.slug}"
                    )
                line = self._record(line, found)
                if line["state"] == "uploaded":
                    if time.monotonic() + self._params.poll_interval > deadline:
                        break
                    time.sleep(self._params.poll_interval)
        return line

    def refresh(self, intent: str) -> Line:
        """Update the line of an intent whose command ended during the upload, or before there was a score.

        Raises UserError as `wait_for_score` does, and if an upload may still arrive.
        """
        with self._submitting():
            line = self._settled(intent)
        return self.wait_for_score(intent) if line["state"] == "uploaded" else line

    def _submitting(self) -> AbstractContextManager[None]:
        """A lock against other commands that submit; it waits for as long as one of them may take."""
        tries = self._params.retries + 1
        longest = float(
            tries * (4 * self._params.timeout + self._params.listing_timeout + self._params.backoff * 2**tries)
        )
        return self._ledger.submitting(longest, lambda: self._console.status("waiting for another command to submit"))

    def _record(self, line: Line, found: Submission) -> Line:
        """Enter in the ledger what is new in Kaggle's list. Raises UserError if Kaggle could not score the file."""
        line = self._line(line["intent"])  # another command may have entered it meanwhile
        if found.status != "error" and line["state"] not in ("uploaded", "scored"):
            line = self._add(line, "uploaded", ref=found.ref)
        if found.status == "complete" and line["state"] != "scored" and NUMBER.fullmatch(found.public_score):
            line = self._add(line, "scored", public_score=found.public_score, ref=found.ref)
        if found.status == "error":
            reason = f"Kaggle could not score it: {found.reason or 'it does not say why'}"
            if (line["state"], line["ref"]) != ("failed", found.ref):
                self._add(line, "failed", reason=reason, ref=found.ref)
            raise UserError(f"{line['file']}: {reason}; unless the file is wrong, make submit FORCE=1 sends it again")
        return line

    def _add(self, line: Line, state: State, **news: str) -> Line:
        return self._ledger.append(line | {"reason": ""} | news, state, now())

    def _line(self, intent: str) -> Line:
        return self._ledger.intents(self._api.slug)[intent]


def now() -> str:
    """The current time for the ledger: UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
