"""How a request to Kaggle can fail, what the user can do about it, and retries where they may help."""

import time
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from digits.common.errors import UserError
from digits.kaggle.credentials import NEW_TOKEN, Credentials

if TYPE_CHECKING:  # the client's process need not load it, which takes most of a second
    from digits.config import KaggleParams

_LONGEST_PAUSE = 120.0  # seconds; there is no retry if Kaggle asks for a longer pause

Result = TypeVar("Result")


class Failure(Enum):
    """Kinds of failure.

    transient: the same request may succeed soon. certain: nothing was submitted by the request that failed; after any
    other failure of an upload the file may still arrive. text: the message, with the cause and what the user can do.
    """

    # transient, certain, text
    NO_CREDENTIALS = (False, True, f"no Kaggle credentials; {NEW_TOKEN}")
    CREDENTIALS = (False, True, "Kaggle does not accept {where}: it is invalid or has expired; {remedy}")
    FORBIDDEN = (
        False,
        True,
        "Kaggle refuses access{detail}; accept the competition's rules at kaggle.com/c/{slug}/rules with the same "
        "account, then run the same command again; if there is no such page, correct competition.slug in params.yaml",
    )
    NOT_VERIFIED = (
        False,
        True,
        "Kaggle wants a verified account{detail}; verify it at kaggle.com/settings, then run the same command again",
    )
    LIMIT = (
        False,
        True,
        "Kaggle allows no more submissions now{detail}; run the same command again when the next day (UTC) begins",
    )
    CLOSED = (
        False,
        True,
        "the competition takes no file now{detail}; make submit UPLOAD=0 writes and checks the file without sending it",
    )
    CODE_ONLY = (
        False,
        True,
        'the competition takes code alone{detail}; type: make submit SET="submit.how=code", or set it in the params',
    )
    NOT_FOUND = (False, True, "Kaggle has no competition called {slug}; correct competition.slug in params.yaml")
    REFUSED = (False, True, "Kaggle refuses the request{detail}; see kaggle.com/c/{slug}")
    RATE_LIMIT = (True, True, "too many requests to Kaggle{detail}; run the same command again in a few minutes")
    SERVER_ERROR = (True, False, "Kaggle has an internal error{detail}; run the same command again in a few minutes")
    CONNECTION = (True, False, "no connection to Kaggle{detail}; check the network, then run the same command again")
    PROXY = (
        False,
        True,
        "the proxy that HTTPS_PROXY names does not let the request through{detail}; if it asks for a name and a "
        "password, set HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT, then run the same command again",
    )
    CERTIFICATE = (
        False,
        True,
        "the certificate that answers for Kaggle is not trusted{detail}; in a company's network set "
        "REQUESTS_CA_BUNDLE=FILE, the company's certificates, then run the same command again",
    )
    TIMEOUT = (True, False, "Kaggle takes too long{detail}; run the same command again later")
    INVALID_RESPONSE = (
        True,
        False,
        "Kaggle's response is not valid{detail}; a login page of this network may have answered instead: open "
        "kaggle.com in a browser, then run the same command again",
    )
    UPLOAD_LOST = (True, True, "the upload did not reach Kaggle{detail}; run the same command again")
    QUEUE_FULL = (
        False,
        True,
        "Kaggle runs two GPU sessions of an account at a time{detail}; end one at kaggle.com/me/code, or wait, then "
        "run the same command again",
    )
    NO_QUOTA = (False, True, "Kaggle gives no GPU{detail}; see the hours that are left at kaggle.com/settings")
    LOCAL_FILE = (False, True, "Kaggle's client cannot use a file{detail}; correct that, then run the command again")
    # an upload whose request did not fail
    UNLISTED = (
        False,
        False,
        "Kaggle has accepted the file{detail}, but does not list it yet; make score looks for it again, make submit "
        "FORCE=1 sends it a second time",
    )
    UNKNOWN = (False, False, "it is unknown whether the file has arrived; run the command again: it asks Kaggle first")

    def __init__(self, transient: bool, certain: bool, text: str):
        self.transient = transient
        self.certain = certain
        self._text = text

    def message(self, slug: str, detail: str = "", credentials: Credentials | None = None) -> str:
        """The line for the user. detail: the cause in the words of Kaggle or of the system. credentials: those used.

        Only CREDENTIALS needs the credentials.
        """
        return self._text.format(
            slug=slug,
            detail=f" ({detail})" if detail else "",
            where=credentials and credentials.where,
            remedy=credentials and credentials.remedy,
        )


class KaggleError(UserError):
    """A request to Kaggle failed. retry_after: seconds that Kaggle asks to wait; None if it does not say."""

    def __init__(self, text: str, failure: Failure, retry_after: float | None = None):
        super().__init__(text)
        self.failure = failure
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether another try may succeed soon."""
        return self.failure.transient and (self.retry_after or 0) <= _LONGEST_PAUSE


def retry(attempt: Callable[[], Result], params: "KaggleParams", warn: Callable[[str], None]) -> Result:
    """Call `attempt` until it succeeds, at most 1 + params.retries times; returns its result.

    After a transient KaggleError it warns, waits as long as Kaggle asks or params.backoff * 2^tries seconds, and tries
    again. Any other error, and the last one, is raised as it is.
    """
    for tries in range(params.retries):
        try:
            return attempt()
        except KaggleError as error:
            if not error.transient:
                raise
            pause = params.backoff * 2**tries if error.retry_after is None else error.retry_after
            warn(f"{error}\ntrying again in {pause:g} s")
            time.sleep(pause)
    return attempt()
