"""Messages between this process and the subprocess that runs Kaggle's client, and what they carry; all are pickled."""

from dataclasses import dataclass
from typing import Any

from digits.kaggle.failures import Failure


@dataclass(frozen=True)
class Request:
    """To the subprocess. function: a key of client.FUNCTIONS. slug: the competition. arguments: of that function."""

    function: str
    slug: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class SignedIn:
    """The client has found credentials. method: as in `Credentials`. user: may be empty."""

    method: str
    user: str


@dataclass(frozen=True)
class Downloaded:
    """Progress of a download in bytes; total: None while the size is not known."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Response:
    """What the requested function returns."""

    value: Any


@dataclass(frozen=True)
class Problem:
    """Why there is no Response. detail: in Kaggle's words. retry_after: seconds, None if Kaggle does not say."""

    failure: Failure
    detail: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle lists it.

    status: pending, complete or error, with its reason. public_score: empty until it is scored.
    """

    ref: str
    message: str
    status: str
    public_score: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """Submissions of today (UTC), and how many more are allowed now; allowed: None if Kaggle does not say.

    limited_by_total: the limit is for the whole competition, so the next day allows no more.
    """

    today: int
    allowed: int | None
    limited_by_total: bool


@dataclass(frozen=True)
class Standing:
    """The account's place on the public leaderboard.

    rank: from 1, None without a score. teams: their number. top: name and score of the best teams.
    """

    rank: int | None
    teams: int
    top: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Quota:
    """Hours on a GPU of this week. renewed: when new ones come, UTC, as text; may be empty."""

    used: float
    allowed: float
    renewed: str


WAITS = ("none", "queued", "new_script")  # states of a session before it has a machine


@dataclass(frozen=True)
class Session:
    """What a session on Kaggle does.

    state: queued, running, complete, error, or one of its end by hand; none: there is no session. failure: why it has
    ended, in Kaggle's words.
    """

    state: str
    failure: str

    @property
    def over(self) -> bool:
        """Whether it has ended, so that no time is counted any more."""
        return self.state not in WAITS and self.state not in ("running", "cancel_requested")


@dataclass(frozen=True)
class Output:
    """What a session has left: files, (name, address) each, and its log."""

    files: tuple[tuple[str, str], ...]
    log: str

    @property
    def error(self) -> str:
        """The last error in the log; "" without one."""
        errors = [line.removeprefix("error: ") for line in self.log.splitlines() if line.startswith("error: ")]
        return errors[-1] if errors else ""
