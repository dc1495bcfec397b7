"""A server on this machine that speaks Kaggle's protocol, with faults that a test sets."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SERVICE = "competitions.CompetitionApiService/"
USER, KEY, TOKEN = "someone", "canary-of-a-key", "canary-of-a-token"


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong. how: "none" (it does not), "status" (the status is answered), or see Handler.

    flat: whether code and message are at the top of the answer, where the client looks for them; users have seen both.
    """

    how: str = "status"
    status: int = 500
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    flat: bool = False


DROP = Fault("drop")  # the connection is closed before anything is done
LOSE = Fault("lose")  # all is done, and the connection is closed before the response
PAGE = Fault("page")  # a page to log in at, in place of an answer
# Kaggle's words, as users have published them
NO_RULES = Fault(
    status=403, message="You must accept this competition's rules before you'll be able to download files."
)
NOT_JOINED = Fault(status=403, message="Permission 'competitions.participate' was denied")
NO_COMPETITION = Fault(status=403, message="Permission 'competitions.get' was denied")
NOT_ALLOWED = "Submission not allowed:  "
CLOSED = Fault(status=400, message=f"{NOT_ALLOWED}Submissions have been disabled for this competition.")
NOTEBOOKS = Fault(status=400, message=f"{NOT_ALLOWED}This competition only accepts Submissions from Notebooks.")
LIMIT = Fault(
    status=400,
    message=f"{NOT_ALLOWED}Your team has used its daily Submission allowance (5) today, "
    "please try again tomorrow UTC (7.5 hours from now).",
)
# the first is published for notebooks; nobody has published the other
NO_PHONE = Fault(status=403, message="Phone verification is required to make a notebook public.")
TOO_LATE = Fault(status=400, message=f"{NOT_ALLOWED}The deadline has passed.")


class KaggleServer(ThreadingHTTPServer):
    """What was received, and how to answer. faults: for the next requests, by the last part of their address."""

    daemon_threads = True
    handler: "type[Handler]"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.lock = threading.Lock()
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.submissions: list[dict[str, Any]] = []
        self.late: list[dict[str, Any]] = []  # submissions that are listed from the third look on
        self.lag = 0  # looks at the list after which it has a new submission
        self.status, self.error, self.score = "COMPLETE", "", "0.99500"
        self.today, self.allowed, self.total = 2, 5, 3
        self.archive = b""
        self.code_only = False  # whether the competition takes code alone
        self.ranges: list[str] = []  # ranges of the archive that were requested

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which Kaggle's client takes this server for Kaggle."""
        address = f"http://127.0.0.1:{self.server_address[1]}"
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": address, "no_proxy": ""}

    def messages(self) -> list[str]:
        """Of all submissions, in the order in which they came."""
        with self.lock:
            return [each["description"] for each in self.submissions]


class Handler(BaseHTTPRequestHandler):
    """One request; everything comes as to a proxy, so with whole addresses."""

    server: KaggleServer

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "text/html" if isinstance(content, bytes) else "application/json"
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.partition("?")[0].rsplit("/", 1)[-1]
        with self.server.lock:
            self.server.requests.append(name)
            fault = self.server.faults[name].pop(0) if self.server.faults[name] else None
        if fault and fault.how == "drop":
            self.close_connection = True
            return
        if fault and fault.how == "stall":
            time.sleep(fault.seconds)
        if fault and fault.how == "page":
            self.answer(b"<!doctype html><title>Log in to this network</title>")
            return
        if fault and fault.how == "status":
            said = {"code": fault.status, "message": fault.message}
            self.answer(said if fault.flat else {"error": said}, fault.status, fault.headers)
            return
        if "/upload/" in self.path:
            self.server.blobs[name] = body
            self.answer({})
        elif "/files/" in self.path:
            self.file(fault)
        else:
            content, status, headers = self.call(name, json.loads(body or b"{}"))
            if fault and fault.how == "lose":
                self.close_connection = True
                return
            self.answer(content, status, headers)

    do_POST = do_PUT = do_GET = handle_one  # noqa: N815 - as the library calls them

    def call(self, name: str, request: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:  # noqa: PLR0911, PLR0912
        """What a method of the service returns."""
        server = self.server
        if not self.known():
            return {"error": {"code": 401, "message": "Unauthenticated"}}, 401, {}
        with server.lock:
            match name:
                case "IntrospectToken":
                    active = request["token"] == TOKEN
                    return {"active": active} | ({"username": USER} if active else {}), 200, {}
                case "GenerateAccessToken":
                    return {"token": TOKEN, "expiresIn": 43200}, 200, {}
                case "GetSubmissionLimits":
                    today, total, allowed = server.today, server.total, server.allowed
                    return {"numToday": today, "numTotal": total, "numAllowedNow": allowed}, 200, {}
                case "StartSubmissionUpload":
                    assert request["contentLength"] > 0
                    token = f"blob{len(server.blobs) + 1}"
                    return {"token": token, "createUrl": f"http://localhost/upload/{token}?signed=by-kaggle"}, 200, {}
                case "CreateSubmission":
                    if request["blobFileTokens"] not in server.blobs:
                        return {"error": {"code": 400, "message": "No such file"}}, 400, {}
                    server.submissions.insert(
                        0,
                        {
                            "ref": 7 + len(server.submissions),
                            "date": "2026-11-21T12:00:00Z",
                            "description": request["submissionDescription"],
                            "fileName": "toy.csv",
                            "blob": request["blobFileTokens"],
                            "listed": server.requests.count("ListSubmissions") + server.lag,
                        },
                    )
                    return {"message": "ok", "ref": server.submissions[0]["ref"]}, 200, {}
                case "ListSubmissions":
                    if server.late and server.requests.count(name) > 2:
                        server.submissions.insert(0, server.late.pop())
                    state = {"status": server.status, "errorDescription": server.error}
                    score = {"publicScore": server.score} if server.status == "COMPLETE" else {}
                    looks = server.requests.count(name)
                    listed = (each for each in server.submissions if each.get("listed", 0) < looks)
                    return {"submissions": [each | state | score for each in listed]}, 200, {}
                case "DownloadDataFiles":
                    return b"", 302, {"Location": "http://localhost/files/toy.zip"}
                case "GetLeaderboard":
                    teams = [{"teamId": n, "teamName": f"team {n}", "score": f"0.999{9 - n}"} for n in range(3)]
                    return {"submissions": teams, "nextPageToken": ""}, 200, {}
                case "GetCompetition":
                    ref = f"https://www.kaggle.com/competitions/{request['competitionName']}"
                    entered = {"teamCount": 1234, "userRank": 56, "userHasEntered": True}
                    return {"ref": ref, "isKernelsSubmissionsOnly": server.code_only} | entered, 200, {}
                case _:
                    return {"error": {"code": 404, "message": self.path}}, 404, {}

    def known(self) -> bool:
        """Whether the request is signed by the one user that there is."""
        import base64

        basic = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        signed = self.headers.get("Authorization", "")
        asks_who = self.path.endswith(("IntrospectToken", "GenerateAccessToken"))
        return signed in (f"Basic {basic}", f"Bearer {TOKEN}") or asks_who

    def file(self, fault: Fault | None) -> None:
        """The archive, or the requested part of it."""
        content, status = self.server.archive, 200
        headers = {
            "Content-Type": "application/zip",
            "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT",
            "ETag": '"1"',
            "Accept-Ranges": "bytes",
        }
        if wanted := self.headers.get("Range"):
            self.server.ranges.append(wanted)
            content, status = content[int(wanted.removeprefix("bytes=").removesuffix("-")) :], 206
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if fault and fault.how in ("half", "hang"):
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            time.sleep(fault.seconds)
            self.close_connection = True
            return
        self.wfile.write(content)


KaggleServer.handler = Handler


@contextmanager
def running(server: KaggleServer) -> Iterator[KaggleServer]:
    """Serve until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def key_in(home: Path) -> None:
    """Save the user's key as Kaggle's pages say."""
    path = home / ".kaggle" / "kaggle.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"username": USER, "key": KEY}))
    path.chmod(0o600)


def token_in(home: Path, token: str = TOKEN) -> Path:
    """Save the user's token as Kaggle's pages say."""
    path = home / ".kaggle" / "access_token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token + "\n")
    path.chmod(0o600)
    return path
