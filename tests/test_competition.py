"""The real client against a server on this machine that speaks Kaggle's protocol."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from digits.competition import Submission, upload
from digits.errors import UserError

SERVICE = "/api/v1/competitions.CompetitionApiService/"


class Kaggle(ThreadingHTTPServer):
    """What the server has received, and how it misbehaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: list[bytes] = []
        self.submissions: list[dict[str, Any]] = []
        self.refuse_with = 0
        self.lose_uploads = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Kaggle

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self) -> None:
        content = self._body()
        if self.server.lose_uploads:
            self._answer({"code": 500, "message": "lost"}, 500)
            return
        self.server.blobs.append(content)
        self._answer({})

    def do_POST(self) -> None:
        request = json.loads(self._body() or b"{}")
        if self.server.refuse_with:
            self._answer({"code": self.server.refuse_with, "message": "no"}, self.server.refuse_with)
            return
        match self.path.removeprefix(SERVICE):
            case "StartSubmissionUpload":
                self._answer({"token": "t", "createUrl": f"{self.server.address}/blob"})
            case "CreateSubmission":
                self.server.submissions.append(
                    {
                        "ref": 7 + len(self.server.submissions),
                        "description": request["submissionDescription"],
                        "status": "COMPLETE",
                        "publicScore": "0.99500",
                    }
                )
                self._answer({"message": "ok", "ref": 7})
            case "ListSubmissions":
                self._answer({"submissions": self.server.submissions, "nextPageToken": ""})
            case _:
                self._answer({"code": 404, "message": self.path}, 404)


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    """A running server that the client takes for Kaggle."""
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "canary-of-a-key")
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk import kaggle_env

    with Kaggle() as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, server.address)
        monkeypatch.setattr(KaggleApi, "args", ["--local"])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.csv"
    path.write_bytes(b"ImageId,Label\n1,2\n")
    return path


def test_a_file_is_uploaded_once_and_believed_when_listed(kaggle: Kaggle, file: Path) -> None:
    for _ in range(2):
        assert upload(file, "toy", "CV 0.99, abc", "abc") == Submission("7", "complete", "0.99500")
    assert kaggle.blobs == [file.read_bytes()]
    assert len(kaggle.submissions) == 1


def test_what_kaggle_could_not_score_is_sent_again(kaggle: Kaggle, file: Path) -> None:
    kaggle.submissions.append({"ref": 3, "description": "CV 0.99, abc", "status": "ERROR", "publicScore": ""})
    assert upload(file, "toy", "CV 0.99, abc", "abc").ref == "8"
    assert len(kaggle.blobs) == 1


def test_an_upload_that_is_lost_is_not_believed(kaggle: Kaggle, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digits.competition.LISTED_WITHIN", 0.1)
    monkeypatch.setattr("digits.competition.PAUSE", 0.05)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits between its own tries
    kaggle.lose_uploads = True
    with pytest.raises(UserError, match="Kaggle"):
        upload(file, "toy", "CV 0.99, abc", "abc")
    assert kaggle.submissions == []


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "make a new token"), (403, "kaggle.com/c/toy/rules"), (404, "competition.slug"), (500, "tries again")],
)
def test_refusals_are_explained(kaggle: Kaggle, file: Path, status: int, remedy: str) -> None:
    kaggle.refuse_with = status
    with pytest.raises(UserError, match=remedy) as caught:
        upload(file, "toy", "message", "message")
    assert len(str(caught.value).splitlines()) == 1
    assert "canary" not in str(caught.value)


def test_no_network_is_not_taken_for_bad_credentials(
    kaggle: Kaggle, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a token the client already asks Kaggle when it signs in."""
    from kaggle.api.kaggle_api_extended import KaggleApi

    def unreachable(_: KaggleApi) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(KaggleApi, "authenticate", unreachable)
    with pytest.raises(UserError, match="cannot be reached or refuses: no route to host"):
        upload(file, "toy", "message", "message")


def test_without_credentials_the_remedy_is_said(kaggle: Kaggle, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(UserError, match="access_token"):
        upload(file, "toy", "message", "message")
