"""Kinds of failure: what they say and mean, also behind a process boundary; another try only where one may help."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from digits.common.processes import Send, run_in_subprocess
from digits.kaggle.credentials import NEW_TOKEN, Credentials
from digits.kaggle.failures import Failure, KaggleError, retry
from digits.kaggle.messages import Problem
from toys import quick

KEY = Credentials("LEGACY_API_KEY", "the key in ~/.kaggle/kaggle.json", Path("kaggle.json"), ("canary",))


def test_every_kind_has_a_line_of_its_own_with_a_remedy() -> None:
    lines = [failure.message("toy", "why {}", KEY) for failure in Failure]
    assert len(set(lines)) == len(Failure)
    assert all(len(line.splitlines()) == 1 and "canary" not in line for line in lines)
    assert Failure.NO_CREDENTIALS.message("toy") == f"no Kaggle credentials; {NEW_TOKEN}"
    assert Failure.CREDENTIALS.message("toy", "", KEY) == (
        f"Kaggle does not accept the key in ~/.kaggle/kaggle.json: it is invalid or has expired; {NEW_TOKEN}"
    )
    assert Failure.REFUSED.message("toy", "why {}") == "Kaggle refuses the request (why {}); see kaggle.com/c/toy"
    assert Failure.REFUSED.message("toy") == "Kaggle refuses the request; see kaggle.com/c/toy"


def test_what_may_have_arrived_is_not_certain() -> None:
    """A kind that is missing here would be sent twice, or reported as failed though it was submitted."""
    uncertain = {failure.name for failure in Failure if not failure.certain}
    assert uncertain == {"SERVER_ERROR", "CONNECTION", "TIMEOUT", "INVALID_RESPONSE", "UNLISTED", "UNKNOWN"}
    transient = {failure.name for failure in Failure if failure.transient}
    assert transient == {"RATE_LIMIT", "SERVER_ERROR", "CONNECTION", "TIMEOUT", "INVALID_RESPONSE", "UPLOAD_LOST"}


def send_all(argument: None, send: Send) -> None:
    for failure in Failure:
        send(Problem(failure, "detail", 0.5))


def test_kinds_are_the_same_behind_a_process_boundary() -> None:
    assert [pickle.loads(pickle.dumps(failure)) for failure in Failure] == [*Failure]
    received: list[Problem] = []
    run_in_subprocess(send_all, None, received.append, 600)
    assert received == [Problem(failure, "detail", 0.5) for failure in Failure]
    assert all(problem.failure is failure for problem, failure in zip(received, Failure, strict=True))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each wait, which takes no time."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def failing(*errors: BaseException) -> Callable[[], str]:
    """Raises the errors one after the other, then returns."""
    left = [*errors]

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


BUSY = KaggleError("busy", Failure.SERVER_ERROR)


def test_each_pause_is_twice_as_long_or_as_kaggle_says(pauses: list[float]) -> None:
    warnings: list[str] = []
    attempt = failing(BUSY, BUSY, KaggleError("later", Failure.RATE_LIMIT, 7.5), BUSY)
    assert retry(attempt, quick(retries=4, backoff=2), warnings.append) == "done"
    assert pauses == [2, 4, 7.5, 16]
    assert warnings[:3] == [
        "busy\ntrying again in 2 s",
        "busy\ntrying again in 4 s",
        "later\ntrying again in 7.5 s",
    ]


@pytest.mark.parametrize(
    ("error", "retries", "waits"),
    [
        (BUSY, 2, 2),
        (BUSY, 0, 0),
        (KaggleError("no", Failure.REFUSED), 2, 0),
        (KaggleError("tomorrow", Failure.RATE_LIMIT, 86400.0), 2, 0),
        (KaggleError("soon", Failure.RATE_LIMIT, 120.0), 1, 1),
        (KeyboardInterrupt(), 2, 0),
    ],
)
def test_the_last_error_is_raised_as_it_is(pauses: list[float], error: Any, retries: int, waits: int) -> None:
    attempt = failing(*[error] * (retries + 1))
    with pytest.raises(type(error)) as raised:
        retry(attempt, quick(retries=retries), lambda _: None)
    assert raised.value is error
    assert len(pauses) == waits
