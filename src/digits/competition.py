"""Kaggle itself. The only module that knows its client."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digits.errors import UserError

LISTED_WITHIN = 60.0  # seconds after an upload in which Kaggle lists it, or it counts as failed
PAUSE = 2.0  # seconds between two looks at the list


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle lists it; public_score is empty until there is one."""

    ref: str
    status: str
    public_score: str


def upload(path: Path, slug: str, message: str, mark: str) -> Submission:
    """Upload a file, unless one with the same mark is listed already, and return what Kaggle lists.

    The client's own word is not taken: it reports success when an upload has failed. `mark` is the part of `message`
    that no other file has; a listed submission that Kaggle could not score does not count. Raises UserError without
    credentials, when Kaggle refuses, and when the submission is not listed in time.
    """
    try:
        client = _client()
        if found := _listed(client, slug, mark):
            return found
        client.competition_submit(str(path), message, slug, quiet=True)
        deadline = time.monotonic() + LISTED_WITHIN
        while not (found := _listed(client, slug, mark)):
            if time.monotonic() > deadline:
                raise UserError(
                    f"Kaggle does not list the upload, or could not score it; look at kaggle.com/c/{slug}/submissions"
                )
            time.sleep(PAUSE)
    except OSError as error:  # what requests raises is an OSError
        raise UserError(_explain(error, slug)) from None
    return found


def _client() -> Any:
    """The client with whatever credentials it finds."""
    from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415 - takes a second, and looks for credentials

    client = KaggleApi()
    try:
        client.authenticate()
    except (SystemExit, ValueError):
        raise UserError(
            "no valid Kaggle credentials; make a token at kaggle.com/settings/api and save it as ~/.kaggle/access_token"
        ) from None
    return client


def _listed(client: Any, slug: str, mark: str) -> Submission | None:
    for each in client.competition_submissions(slug) or ():
        if mark in (each.description or "") and each.status.name != "ERROR":
            return Submission(str(each.ref), each.status.name.lower(), each.public_score or "")
    return None


def _explain(error: OSError, slug: str) -> str:
    """One line for what went wrong between us and Kaggle."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    reasons = {
        401: "Kaggle does not know these credentials; make a new token at kaggle.com/settings/api",
        403: f"Kaggle refuses: accept the competition's rules first, at kaggle.com/c/{slug}/rules",
        404: f"Kaggle has no competition called {slug}; see competition.slug in params.yaml",
    }
    known = reasons.get(status) if status else None
    return known or f"Kaggle cannot be reached or refuses: {' '.join(str(error).split())}; the same command tries again"
