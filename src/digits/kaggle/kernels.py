"""Functions of Kaggle's client for kernels: private scripts, each with the session that runs it on a machine of Kaggle.

As those of `client`, they run in a subprocess. Kaggle derives a kernel's address from its title, so each title is its
slug, which is new for each session: a second push to the same slug would start a second session beside the first.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

from digits.common.processes import Send
from digits.kaggle.messages import Downloaded, Output, Quota, Session

_TWO_T4 = "NvidiaTeslaT4"  # Kaggle's name for a machine with two of these cards
_GONE = (403, 404)  # what Kaggle answers for a kernel that it does not have
_RECONNECTS, _PAUSE = 1000, 5.0  # of the log, which a balancer closes now and then; seconds
_PIECE = 2**20  # bytes of a download
_TIMEOUT = 60.0  # seconds without a byte of it


class RefusedError(Exception):
    """Kaggle refuses a kernel in its answer, which has the status 200."""


def _kernel(client: Any, kernel: str) -> str:
    return f"{client.get_config_value(client.CONFIG_NAME_USER)}/{kernel}"


def _quota(client: Any, slug: str, send: Send) -> Quota | None:
    """The account's hours on GPUs; None if Kaggle does not say."""
    found = client.quota_view()
    if not found.gpu_quota or not found.gpu_quota.total_time_allowed:
        return None
    used, allowed = (
        each.total_seconds() / 3600 if each else 0.0
        for each in (found.gpu_quota.time_used, found.gpu_quota.total_time_allowed)
    )
    renewed = f"{found.quota_refresh_time:%Y-%m-%d %H:%M} UTC" if found.quota_refresh_time else ""
    return Quota(used, allowed, renewed)


def _push(
    client: Any, slug: str, send: Send, kernel: str, text: str, gpu: bool, internet: bool, seconds: int
) -> int | None:
    """Start a session that runs the script `text` with the competition's files; returns the kernel's version."""
    from kagglesdk.kernels.types.kernels_api_service import ApiSaveKernelRequest  # noqa: PLC0415 - calls Kaggle, too
    from slugify import slugify  # noqa: PLC0415 - as the client does

    assert slugify(kernel) == kernel, f"Kaggle would give the title {kernel} another address"
    request = ApiSaveKernelRequest()
    request.slug, request.new_title, request.text = _kernel(client, kernel), kernel, text
    request.language, request.kernel_type, request.is_private = "python", "script", True
    request.enable_internet, request.competition_data_sources = internet, [slug]
    request.enable_gpu, request.session_timeout_seconds = gpu, seconds
    if gpu:
        request.machine_shape = _TWO_T4
    with client.build_kaggle_client() as kaggle:
        answer = kaggle.kernels.kernels_api_client.save_kernel(request)
    if answer.error:
        raise RefusedError(answer.error)
    if answer.invalid_competition_sources:
        raise RefusedError(f"it does not give {slug} to this account: accept the rules at kaggle.com/c/{slug}/rules")
    if not answer.ref.endswith(f"/{kernel}"):
        client.kernels_delete("/".join(answer.ref.split("/")[-2:]), no_confirm=True)
        raise RefusedError(f"it has called the session {answer.ref} in place of {kernel}")
    return answer.version_number  # type: ignore[no-any-return]


def _status(client: Any, slug: str, send: Send, kernel: str) -> Session:
    try:
        found = client.kernels_status(_kernel(client, kernel))
    except ValueError as error:
        if "kernels.get" in str(error):  # the client's words where Kaggle does not have it
            return Session("none", "")
        raise
    return Session(found.status.name.lower(), " ".join((found.failure_message or "").split()))


@cache
def _log_of(client: Any, kernel: str) -> list[str]:
    """The lines of a session's log; a thread adds to them. A new connection gets them from the first one on."""
    lines: list[str] = []

    def read() -> None:
        for _ in range(_RECONNECTS):
            with suppress(Exception):  # the session waits in the queue, or the connection was closed
                for number, event in enumerate(client.kernels_logs_stream(_kernel(client, kernel))):
                    if number >= len(lines):
                        lines.append(str(event.get("data", "")))
            time.sleep(_PAUSE)

    Thread(target=read, daemon=True).start()
    return lines


def _log(client: Any, slug: str, send: Send, kernel: str, known: int) -> list[str]:
    """The lines of the log of a running session that follow the first `known` ones, as far as they have come."""
    return _log_of(client, kernel)[known:]


def _output(client: Any, slug: str, send: Send, kernel: str) -> Output:
    """All files of a session, from all pages of Kaggle's list."""
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest  # noqa: PLC0415 - calls Kaggle, too

    request, files, log = ApiListKernelSessionOutputRequest(), list[tuple[str, str]](), ""
    request.user_name, request.kernel_slug = _kernel(client, kernel).split("/")
    with client.build_kaggle_client() as kaggle:
        while True:
            page = kaggle.kernels.kernels_api_client.list_kernel_session_output(request)
            files += [(file.file_name, file.url) for file in page.files or ()]
            log = log or page.log or ""
            if not page.next_page_token:
                return Output((*files,), log)
            request.page_token = page.next_page_token


def _fetch(client: Any, slug: str, send: Send, address: str, path: str) -> None:
    """Download one file of a session; the client itself would save the page of an error as the file."""
    import requests  # noqa: PLC0415 - of the client

    with requests.get(address, stream=True, timeout=_TIMEOUT) as answer, Path(path).open("wb") as file:
        if answer.status_code != requests.codes.ok:  # as of an address that is no longer valid
            raise ValueError(f"status {answer.status_code} in place of a file")
        for piece in answer.iter_content(_PIECE):
            send(Downloaded(file.write(piece), None))  # shows that it goes on


def _delete(client: Any, slug: str, send: Send, kernel: str) -> None:
    """Delete a kernel, which ends its session; it may be gone already."""
    try:
        client.kernels_delete(_kernel(client, kernel), no_confirm=True)
    except Exception as error:
        if getattr(getattr(error, "response", None), "status_code", 0) not in _GONE:
            raise
        listed = client.kernels_list(mine=True, search=kernel, page_size=100) or ()
        if any(each.ref.endswith(f"/{kernel}") for each in listed):
            raise


def _takes_code(client: Any, slug: str, send: Send) -> bool:
    """Whether the competition takes code alone, no files."""
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest  # noqa: PLC0415 - calls Kaggle, too

    request = ApiGetCompetitionRequest()
    request.competition_name = slug
    with client.build_kaggle_client() as kaggle:
        return bool(kaggle.competitions.competition_api_client.get_competition(request).is_kernels_submissions_only)


def _submit_code(client: Any, slug: str, send: Send, kernel: str, version: int | None, file: str, message: str) -> str:
    """Submit a finished kernel to a code competition; returns the submission's number."""
    answer = client.competition_submit_code(file, message, slug, _kernel(client, kernel), version, True)
    return str(answer.ref)


KERNEL_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "quota": _quota,
    "push": _push,
    "status": _status,
    "log": _log,
    "output": _output,
    "fetch": _fetch,
    "delete": _delete,
    "takes_code": _takes_code,
    "submit_code": _submit_code,
}
