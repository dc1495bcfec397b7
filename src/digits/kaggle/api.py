"""Kaggle's API for one competition. Every request has a timeout, some are retried; a failure is a one-line message."""

import os
import threading
import time
from contextlib import ExitStack
from functools import cached_property, partial
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, cast

from digits.common.console import Bar, Console
from digits.common.disk import check_room
from digits.common.processes import ProcessDiedError, ProcessTimeoutError, run_in_subprocess
from digits.config import KaggleParams
from digits.kaggle.client import serve
from digits.kaggle.credentials import Credentials, credentials, has_folders
from digits.kaggle.failures import Failure, KaggleError, retry
from digits.kaggle.messages import Downloaded, Limits, Problem, Request, Response, SignedIn, Standing, Submission


class CompetitionApi:
    """A competition on Kaggle, requested with the user's credentials. All methods that call Kaggle raise KaggleError.

    params: timeouts and retries.
    """

    def __init__(self, slug: str, params: KaggleParams, console: Console):
        self.slug = slug
        self._params = params
        self._console = console
        self._introduced = False
        self._process: _ClientProcess | None = None

    @cached_property
    def credentials(self) -> list[Credentials]:
        """Those found before the first request, because Kaggle's client deletes a login that has expired."""
        return credentials(os.environ, Path.home())

    def limits(self) -> Limits:
        """How many submissions were made today, and how many more are allowed."""
        return cast(Limits, self._request("limits"))

    def submissions(self) -> list[Submission]:
        """The latest submissions, newest first."""
        return cast(list[Submission], self._request("submissions"))

    def standing(self) -> Standing:
        """The account's place on the leaderboard, and the best teams."""
        return cast(Standing, self._request("standing"))

    def upload(self, path: Path) -> str:
        """Upload a file without submitting it, and without retries; returns Kaggle's token for the file."""
        return str(self._request_once("upload", path=str(path)))

    def submit(self, token: str, message: str) -> str:
        """Submit an uploaded file, without retries; returns its number. Only `submissions` tells if it has arrived."""
        return str(self._request_once("submit", token=token, message=message))

    def download(self, folder: Path) -> Path:
        """Download the competition's archive into `folder`, resuming a partial download; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            progress = _Progress(self._console, stack, self._params.timeout, folder)
            return Path(self._request("download", progress, folder=str(folder)))

    def kernel(self, function: str, **arguments: Any) -> Any:
        """Call a function of `kernels`, with retries."""
        return self._request(function, **arguments)

    def kernel_once(self, function: str, **arguments: Any) -> Any:
        """The same without retries, for what must not happen twice."""
        return self._request_once(function, **arguments)

    def _request(self, function: str, progress: "_Progress | None" = None, **arguments: Any) -> Any:
        return retry(partial(self._request_once, function, progress, **arguments), self._params, self._console.warn)

    def _request_once(self, function: str, progress: "_Progress | None" = None, **arguments: Any) -> Any:
        known = self.credentials
        process = self._process = self._process or _ClientProcess()
        if progress:
            progress.begin_try()
        try:
            process.requests.put(Request(function, self.slug, arguments))
            while True:
                match process.receive(self._params.timeout):
                    case SignedIn() as signed_in:
                        self._introduce(signed_in, known)
                    case Downloaded() as downloaded if progress:
                        progress.update(downloaded)
                    case Response(value):
                        return value
                    case Problem(failure, detail, retry_after):
                        raise self._error(failure, detail, retry_after)
        except KaggleError:
            raise
        except BaseException as error:
            # a late response of this process must not be taken for the response to the next request
            self._process = None
            process.stop.set()
            if isinstance(error, ProcessDiedError):
                late = isinstance(error, ProcessTimeoutError)
                raise self._error(Failure.TIMEOUT if late else Failure.INVALID_RESPONSE, str(error)) from None
            raise

    def _introduce(self, signed_in: SignedIn, known: list[Credentials]) -> None:
        """Print once which credentials are used; warn if other users can read them, or if the first ones fail."""
        if self._introduced:
            return
        self._introduced = True
        used = next((each for each in known if each.method == signed_in.method), None)
        if known and used is not known[0]:
            self._console.warn(f"Kaggle does not accept {known[0].where}; remove it, because it is tried first")
        where = used.where if used else signed_in.method
        self._console.say(f"Kaggle: {f'account {signed_in.user}, ' if signed_in.user else ''}using {where}")
        if used and used.exposed:
            self._console.warn(f"{used.file} can be read by other users of this computer; type: chmod 600 {used.file}")

    def _error(self, failure: Failure, detail: str, retry_after: float | None = None) -> KaggleError:
        first = next(iter(self.credentials), None)
        if failure is Failure.CREDENTIALS and first is None:
            failure = Failure.NO_CREDENTIALS
        return KaggleError(failure.message(self.slug, detail, first), failure, retry_after)


class _ClientProcess:
    """A subprocess that runs `serve`; it ends with this process.

    requests: to it, each after the one before has been answered by a Response or a Problem. stop: ends it, if busy too.
    """

    def __init__(self) -> None:
        self.requests: SimpleQueue[Request] = SimpleQueue()
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self.stop = threading.Event()
        usual = has_folders(os.environ, Path.home())
        self._own = None if usual else TemporaryDirectory(prefix="kaggle-")  # removed with this object, or at the exit
        threading.Thread(target=self._run, daemon=True).start()

    def receive(self, timeout: float) -> Any:
        """The next message. Raises ProcessTimeoutError after `timeout` seconds without one, or the error of `_run`."""
        try:
            message = self._messages.get(timeout=timeout)
        except Empty:
            raise ProcessTimeoutError(f"no answer for {timeout:g} s") from None
        if isinstance(message, BaseException):
            raise message
        return message

    def _run(self) -> None:
        try:
            run_in_subprocess(serve, self._own and self._own.name, self._on_message, inf, stop=self.stop.is_set)
        except BaseException as error:  # `receive` raises it in the other thread
            self._messages.put(error)

    def _on_message(self, message: Any) -> Request | None:
        if message is not None:
            self._messages.put(message)
        return self.requests.get() if isinstance(message, Response | Problem | None) else None


class _Progress:
    """A progress bar in megabytes for a download with all its tries; it includes what earlier tries have downloaded."""

    def __init__(self, console: Console, stack: ExitStack, timeout: float, folder: Path):
        self._console = console
        self._stack = stack
        self._timeout = timeout
        self._folder = folder
        self._bar: Bar | None = None
        self._bar_bytes = 0
        self.begin_try()

    def begin_try(self) -> None:
        """Restart the timeout, so that each try has the full time for its first bytes."""
        self._done, self._since = -1, time.monotonic()

    def update(self, downloaded: Downloaded) -> None:
        """Move the bar. Raises ProcessTimeoutError after `timeout` seconds without a byte, DiskError without room."""
        if self._bar is None and downloaded.total:
            check_room(self._folder, downloaded.total - downloaded.done, "the competition's files")
            self._bar = self._stack.enter_context(self._console.bar("download", downloaded.total / 1e6, "MB"))
        if self._bar:
            self._bar.advance((downloaded.done - self._bar_bytes) / 1e6)
            self._bar_bytes = downloaded.done
        if downloaded.done != self._done:
            self._done, self._since = downloaded.done, time.monotonic()
        elif time.monotonic() - self._since > self._timeout:
            raise ProcessTimeoutError(f"no new data for {self._timeout:g} s")
