"""What is asked of Kaggle, in a process of its own. The only module that knows Kaggle's client.

The client waits for ever where Kaggle does not answer, prints, ends the process it runs in, and asks the network when
it is imported; in a process that can be ended none of this matters.
"""

import errno
import io
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from digits.common.processes import Ask
from digits.kaggle.credentials import credentials

_LISTED = 100  # of the latest submissions are looked at
_SHOWN = 5  # teams at the top of the leaderboard
_GLANCE = 0.5  # seconds between two looks at how much is downloaded

Kind = Literal[
    "credentials",  # none, or Kaggle does not know them
    "rules",  # not accepted, or nothing that this account may do
    "missing",  # no such competition
    "refused",  # for a reason that Kaggle says
    "busy",  # too many requests: worth another try
    "fault",  # of Kaggle's own: worth another try
    "network",  # no way to Kaggle, or it was cut: worth another try
    "lost",  # the bytes of a file did not arrive, so nothing was submitted: worth another try
    "nonsense",  # an answer that is none: worth another try
    "local",  # a file of this computer
]


@dataclass(frozen=True)
class Order:
    """What to ask: the name of a function below, the competition, and what else the function needs."""

    what: str
    slug: str
    given: dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """Nothing was asked yet."""


@dataclass(frozen=True)
class SignedIn:
    """The client has credentials; method: of which kind."""

    method: str
    user: str


@dataclass(frozen=True)
class Downloaded:
    """So many bytes are there, of so many; None: not known."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Answer:
    """What Kaggle says."""

    value: Any


@dataclass(frozen=True)
class Problem:
    """Why there is no answer. detail: in Kaggle's words. after: seconds to wait, where Kaggle says so."""

    kind: Kind
    detail: str
    after: float | None = None


@dataclass(frozen=True)
class Submission:
    """As Kaggle lists it. status: pending, complete or error, with its reason; public_score: empty at first."""

    ref: str
    date: str
    file: str
    message: str
    status: str
    public_score: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """Submissions of today (by UTC), and how many more are allowed; allowed None: not known.

    ever: whether that is the limit of the whole competition, so that the next day brings none.
    """

    today: int
    allowed: int | None
    ever: bool


@dataclass(frozen=True)
class Standing:
    """Where the account stands. rank: None without a score. teams: number of them. top: name and score of the best."""

    rank: int | None
    teams: int
    top: tuple[tuple[str, str], ...]


class _LostError(Exception):
    """The client says that a file was not uploaded."""


def converse(environment: dict[str, str], ask: Ask) -> None:
    """Answer one Order after the other, each with SignedIn where that is new, Downloaded, then an Answer or a Problem.

    environment: variables of the process that asks; the one that this was forked from may have had others.
    """
    os.environ.clear()
    os.environ.update(environment)
    client: Any = None
    told: Ready | Answer | Problem = Ready()
    while order := ask(told):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                client = client or _signed_in(ask)
                told = Answer(_ASKED[order.what](client, order.slug, ask, **order.given))
            except (Exception, SystemExit) as error:
                told = _problem(error)


def _signed_in(ask: Ask) -> Any:
    from kaggle.api.kaggle_api_extended import KaggleApi, tqdm  # noqa: PLC0415 - asks the network when imported

    # the client's progress bars would share a lock among processes, which is left behind where this one is ended
    tqdm.set_lock(threading.RLock())
    client = KaggleApi()
    client.authenticate()
    method = str(client.get_config_value(client.CONFIG_NAME_AUTH_METHOD))
    ask(SignedIn(method, str(client.get_config_value(client.CONFIG_NAME_USER) or "")))
    return client


def _limits(client: Any, slug: str, ask: Ask) -> Limits:
    found = client.competition_get_submission_limits(slug)
    # before the first submission there is no team, and all numbers are 0
    unknown = not (found.num_total or found.num_today or found.num_allowed_now)
    return Limits(found.num_today, None if unknown else found.num_allowed_now, bool(found.limited_by_total))


def _submissions(client: Any, slug: str, ask: Ask) -> list[Submission]:
    return [
        Submission(
            ref=str(each.ref),
            date=each.date.isoformat(timespec="seconds") if each.date else "",
            file=each.file_name or "",
            message=each.description or "",
            status=each.status.name.lower(),
            public_score=each.public_score or "",
            reason=_one_line(each.error_description or ""),
        )
        for each in client.competition_submissions(slug, page_size=_LISTED) or ()
    ]


def _send(client: Any, slug: str, ask: Ask, path: str, message: str) -> None:
    """Upload a file. That this returns proves nothing: only the list of submissions does."""
    if client.competition_submit(path, message, slug, quiet=True).message == _UPLOAD_FAILED:
        raise _LostError("the file did not arrive")


_UPLOAD_FAILED = "Could not submit to competition"  # the client's message where it could not upload


def _download(client: Any, slug: str, ask: Ask, folder: str) -> str:
    """Fetch the competition's archive, going on with what an earlier call has left; returns its path."""
    path, marker = Path(folder, f"{slug}.zip"), Path(folder, f"{slug}.zip.kaggle-partial")
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(client.competition_download_files, slug, folder, False, True)
        while not wait([fetching], timeout=_GLANCE).done:
            done = path.stat().st_size if path.exists() else 0
            ask(Downloaded(done, json.loads(marker.read_text() or "{}").get("size") if marker.exists() else None))
        fetching.result()
    if not path.exists() or marker.exists():  # it goes when the archive is whole
        raise ValueError("a page in place of the archive")
    return str(path)


def _standing(client: Any, slug: str, ask: Ask) -> Standing:
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest  # noqa: PLC0415 - as the client

    top = client.competition_leaderboard_view(slug, page_size=_SHOWN) or ()
    asked = ApiGetCompetitionRequest()
    asked.competition_name = slug
    with client.build_kaggle_client() as kaggle:
        found = kaggle.competitions.competition_api_client.get_competition(asked)
    return Standing(found.user_rank, found.team_count, tuple((team.team_name, team.score) for team in top))


_ASKED: dict[str, Callable[..., Any]] = {
    "limits": _limits,
    "submissions": _submissions,
    "send": _send,
    "download": _download,
    "standing": _standing,
}


def _problem(error: BaseException) -> Problem:
    """What an exception of the client means."""
    response = getattr(error, "response", None)
    detail = _redacted(_one_line(str(error)))
    match error:
        case SystemExit():
            return Problem("credentials", "")
        case _LostError():
            return Problem("lost", detail)
        case _ if response is not None:
            return Problem(_kind(response.status_code), detail, _seconds(response.headers.get("Retry-After")))
        case ValueError():
            decoding = "JSONDecodeError" in type(error).__name__
            return Problem("nonsense", "a page in place of data" if decoding else detail)
        case OSError():
            return _of_system(error)
    return Problem("nonsense", f"{type(error).__name__}: {detail}")


def _of_system(error: OSError) -> Problem:
    """What requests raises is one too, but without a file, and not for want of space."""
    file = f"{error.filename}: " if error.filename else ""
    if file or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return Problem(
            "local", _redacted(f"{file}{error.strerror}")
        )  # the client takes a token for a file's name first
    return Problem("network", _cause(error))


def _kind(status: int) -> Kind:
    kinds: dict[int, Kind] = {401: "credentials", 403: "rules", 404: "missing", 429: "busy"}
    return kinds.get(status, "fault" if status >= 500 else "refused")


def _cause(error: BaseException) -> str:
    """The shortest of the reasons that are nested in an error of the network."""
    texts = re.findall(
        r"(Connection refused|Name or service not known|timed out|Network is unreachable|No route to host"
        r"|Connection aborted|Connection reset by peer|Temporary failure in name resolution"
        r"|certificate verify failed|Remote end closed connection)",
        str(error),
    )
    return texts[-1].lower() if texts else type(error).__name__


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _redacted(text: str) -> str:
    """Without what signs requests: credentials, and the queries of addresses."""
    text = re.sub(r"\?[^\s'\")]+", "", text)
    for found in credentials(os.environ, Path.home()):
        for secret in found.secrets:
            text = text.replace(secret, "***")
    return text
