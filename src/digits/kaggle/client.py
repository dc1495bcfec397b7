"""Functions that call Kaggle's client and run in a subprocess. Only this module and `kernels` know that client.

The client has no timeouts, prints, may end the process it runs in, and calls Kaggle when it is imported. A subprocess
that can be killed contains all of this.
"""

import errno
import io
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from digits.common.errors import UserError
from digits.common.processes import Send
from digits.kaggle.credentials import config_folder, credentials
from digits.kaggle.failures import Failure
from digits.kaggle.kernels import KERNEL_FUNCTIONS, RefusedError
from digits.kaggle.messages import Downloaded, Limits, Problem, Response, SignedIn, Standing, Submission

_LISTED = 100  # latest submissions to list
_TOP = 5  # teams of the leaderboard to list
_PROGRESS_INTERVAL = 0.5  # seconds between two reports of a download
_STATUS = {
    401: Failure.CREDENTIALS,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    407: Failure.PROXY,
    412: Failure.QUEUE_FULL,
    429: Failure.RATE_LIMIT,
}
_WORDS = {  # of a refusal, which has the status 400 or 403
    r"\bphone\b|\bverif": Failure.NOT_VERIFIED,
    r"\ballowance\b": Failure.LIMIT,
    r"only accepts submissions from": Failure.CODE_ONLY,
    r"\bdisabled\b|\bdeadline\b|\bended\b|\bclosed\b": Failure.CLOSED,
    r"'competitions\.get'": Failure.NOT_FOUND,
    r"\bsession count\b|\bsessions\b.*\breached\b": Failure.QUEUE_FULL,
    r"\bquota\b|\bGPU\b.*\b(hours|limit|time)\b": Failure.NO_QUOTA,
}


class _UploadLostError(Exception):
    """The client reports that a file was not uploaded."""


def serve(own: str | None, send: Send) -> None:
    """Answer one Request after the other. own: a folder for the client where it cannot use the home, as in containers.

    Sends None when it is ready. For each Request it sends SignedIn (the first time), Downloaded (during a download),
    and at the end a Response or a Problem.
    """
    client: Any = None
    message: Response | Problem | None = None
    _prepare_environment(own)
    while request := send(message):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                client = client or _signed_in(send)
                message = Response(FUNCTIONS[request.function](client, request.slug, send, **request.arguments))
            except (Exception, SystemExit) as error:
                message = _problem(error)


def _prepare_environment(own: str | None) -> None:
    for name in [name for name, value in os.environ.items() if name.startswith("KAGGLE_") and not value]:
        del os.environ[name]  # the client would take it for a value
    os.environ.pop("KAGGLE_TOKEN", None)  # the client would send it in place of the credentials that it has found
    if own and not os.access(Path.home(), os.X_OK):
        os.environ["HOME"] = own
    if own and not os.access(config_folder(os.environ, Path.home()), os.F_OK):
        os.environ["KAGGLE_CONFIG_DIR"] = own


def _signed_in(send: Send) -> Any:
    from kagglesdk.kaggle_creds import KaggleCredentials  # noqa: PLC0415 - this is the client, too

    save = KaggleCredentials.save

    def save_if_possible(login: Any) -> None:
        with suppress(OSError):  # in a read-only home a renewed login can be used all the same
            save(login)

    KaggleCredentials.save = save_if_possible
    from kaggle.api.kaggle_api_extended import KaggleApi, tqdm  # noqa: PLC0415 - calls Kaggle when imported

    # by default the client's progress bars share a lock with other processes, which would stay held after a kill
    tqdm.set_lock(threading.RLock())
    client = KaggleApi()
    client.authenticate()
    method = str(client.get_config_value(client.CONFIG_NAME_AUTH_METHOD))
    send(SignedIn(method, str(client.get_config_value(client.CONFIG_NAME_USER) or "")))
    return client


def _limits(client: Any, slug: str, send: Send) -> Limits:
    limits = client.competition_get_submission_limits(slug)
    # before the first submission there is no team, and all numbers are 0
    unknown = not (limits.num_total or limits.num_today or limits.num_allowed_now)
    return Limits(limits.num_today, None if unknown else limits.num_allowed_now, bool(limits.limited_by_total))


def _submissions(client: Any, slug: str, send: Send) -> list[Submission]:
    return [
        Submission(
            ref=str(row.ref),
            message=row.description or "",
            status=row.status.name.lower(),
            public_score=row.public_score or "",
            reason=_one_line(row.error_description or ""),
        )
        for row in client.competition_submissions(slug, page_size=_LISTED) or ()
    ]


def _upload(client: Any, slug: str, send: Send, path: str) -> str:
    """Upload a file without submitting it; returns Kaggle's token for the file."""
    from kaggle.models.kaggle_models_extended import ResumableUploadResult  # noqa: PLC0415 - calls Kaggle, too
    from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest  # noqa: PLC0415 - calls Kaggle, too

    request, file = ApiStartSubmissionUploadRequest(), Path(path)
    request.competition_name, request.file_name = slug, file.name
    request.content_length = file.stat().st_size
    request.last_modified_epoch_seconds = int(file.stat().st_mtime)
    with client.build_kaggle_client() as kaggle:
        place = kaggle.competitions.competition_api_client.start_submission_upload(request)
    if client.upload_complete(path, place.create_url, quiet=True) != ResumableUploadResult.COMPLETE:
        raise _UploadLostError
    return str(place.token)


def _submit(client: Any, slug: str, send: Send, token: str, message: str) -> str:
    """Submit an uploaded file; returns its number. Only the list of submissions proves that it has arrived."""
    from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest  # noqa: PLC0415 - calls Kaggle, too

    request = ApiCreateSubmissionRequest()
    request.competition_name, request.blob_file_tokens, request.submission_description = slug, token, message
    with client.build_kaggle_client() as kaggle:
        return str(kaggle.competitions.competition_api_client.create_submission(request).ref)


def _download(client: Any, slug: str, send: Send, folder: str) -> str:
    """Download the competition's archive, resuming a partial download; returns its path."""
    path, marker = Path(folder, f"{slug}.zip"), Path(folder, f"{slug}.zip.kaggle-partial")
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(client.competition_download_files, slug, folder, False, True)
        while not wait([download], timeout=_PROGRESS_INTERVAL).done:
            done = path.stat().st_size if path.exists() else 0
            send(Downloaded(done, json.loads(marker.read_text() or "{}").get("size") if marker.exists() else None))
        download.result()
    if not path.exists() or marker.exists():  # the client removes the marker when the archive is complete
        raise ValueError("a web page instead of the archive")
    return str(path)


def _standing(client: Any, slug: str, send: Send) -> Standing:
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest  # noqa: PLC0415 - calls Kaggle, too

    top = client.competition_leaderboard_view(slug, page_size=_TOP) or ()
    request = ApiGetCompetitionRequest()
    request.competition_name = slug
    with client.build_kaggle_client() as kaggle:
        competition = kaggle.competitions.competition_api_client.get_competition(request)
    return Standing(competition.user_rank, competition.team_count, tuple((team.team_name, team.score) for team in top))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "limits": _limits,
    "submissions": _submissions,
    "upload": _upload,
    "submit": _submit,
    "download": _download,
    "standing": _standing,
    **KERNEL_FUNCTIONS,
}


def _problem(error: BaseException) -> Problem:
    """The Problem that describes an exception of the client."""
    response = getattr(error, "response", None)
    detail = _redacted(_one_line(_said(response) or str(error)))
    match error:
        case SystemExit():
            return Problem(Failure.CREDENTIALS, "")
        case _UploadLostError():
            return Problem(Failure.UPLOAD_LOST, detail)
        case _ if response is not None:
            other = Failure.SERVER_ERROR if response.status_code >= 500 else Failure.REFUSED
            failure = _STATUS.get(response.status_code, other)
            if failure in (Failure.REFUSED, Failure.FORBIDDEN):
                failure = _by_words(detail, failure)
            return Problem(failure, detail, _seconds(response.headers.get("Retry-After")))
        case ValueError():
            is_page = "JSONDecodeError" in type(error).__name__
            return Problem(Failure.INVALID_RESPONSE, "a web page instead of data" if is_page else detail)
        case OSError():
            return _of_system(error)
    refused = isinstance(error, RefusedError)
    kind = _by_words(detail, Failure.REFUSED) if refused else Failure.INVALID_RESPONSE
    return Problem(kind, detail if refused else f"{type(error).__name__}: {detail}")


def _by_words(detail: str, other: Failure) -> Failure:
    """The kind of a refusal, by Kaggle's words; `other` if they are not known."""
    return next((kind for words, kind in _WORDS.items() if re.search(words, detail, re.I)), other)


def _said(response: Any) -> str:
    """What Kaggle says about a refusal; the client looks for it at the top of the answer alone. "" if it is a page."""
    with suppress(AttributeError, TypeError, ValueError):
        answer = response.json()
        return str(answer.get("error", answer)["message"])
    return ""


def _of_system(error: OSError) -> Problem:
    """A Problem with a file or with the network: errors of `requests` are OSErrors too, but they name no file."""
    file = f"{error.filename}: " if error.filename else ""
    if file or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        # redacted, because the client first tries to open a file that is named like the token
        return Problem(Failure.LOCAL_FILE, _redacted(f"{file}{error.strerror}"))
    cause = _cause(error)
    kinds = {"proxy authentication required": Failure.PROXY, "certificate verify failed": Failure.CERTIFICATE}
    return Problem(kinds.get(cause, Failure.CONNECTION), cause)


def _cause(error: BaseException) -> str:
    """The innermost of the causes that are nested in a network error."""
    texts = re.findall(
        r"(Connection refused|Name or service not known|timed out|Network is unreachable|No route to host"
        r"|Connection aborted|Connection reset by peer|Temporary failure in name resolution"
        r"|certificate verify failed|Proxy Authentication Required|Remote end closed connection)",
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
    """The text without secrets: credentials, and the queries of URLs, which may hold signatures."""
    text = re.sub(r"\?[^\s'\")]+", "", text)
    with suppress(UserError):  # there are none
        for secret in (secret for known in credentials(os.environ, Path.home()) for secret in known.secrets):
            text = text.replace(secret, "***")
    return text
