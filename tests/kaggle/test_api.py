"""Kaggle's real client against a server on this machine that speaks its protocol."""

import fcntl
import io
import json
import os
import ssl
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from digits.common.console import Console
from digits.config import KaggleParams
from digits.kaggle.api import CompetitionApi
from digits.kaggle.failures import KaggleError
from digits.kaggle.messages import Limits, Standing
from kaggle_server import (
    CLOSED,
    DROP,
    KEY,
    LIMIT,
    NO_COMPETITION,
    NO_PHONE,
    NO_RULES,
    NOT_JOINED,
    NOTEBOOKS,
    PAGE,
    TOKEN,
    TOO_LATE,
    USER,
    Fault,
    KaggleServer,
    token_in,
)
from toys import QUICK, quick

pytestmark = pytest.mark.slow


def words(text: str) -> str:
    return " ".join(text.split())


def api(params: KaggleParams = QUICK) -> CompetitionApi:
    return CompetitionApi("toy", params, Console(plain=True))


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("train.csv", os.urandom(3_000_000))
    return packed.getvalue()


def test_questions_are_answered(server: KaggleServer, capsys: pytest.CaptureFixture[str]) -> None:
    kaggle = api()
    assert kaggle.limits() == Limits(today=2, allowed=5, limited_by_total=False)
    assert kaggle.submissions() == []
    assert kaggle.standing() == Standing(56, 1234, (("team 0", "0.9999"), ("team 1", "0.9998"), ("team 2", "0.9997")))
    printed = capsys.readouterr().out
    assert printed.count("Kaggle: account someone, using the key in ~/.kaggle/kaggle.json") == 1, "printed once"
    assert KEY not in printed


def test_before_the_first_submission_the_limit_is_not_known(server: KaggleServer) -> None:
    server.today = server.allowed = server.total = 0
    assert api().limits() == Limits(today=0, allowed=None, limited_by_total=False)


@pytest.mark.parametrize("kind", ["file", "variable", "path in a variable", "key in variables", "login"])
def test_every_kind_of_credentials_is_used_and_printed(
    server: KaggleServer, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    if kind == "file":
        token_in(home)
        shown = "the token in ~/.kaggle/access_token"
    elif kind == "variable":
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
        shown = "the token in KAGGLE_API_TOKEN"
    elif kind == "path in a variable":
        monkeypatch.setenv("KAGGLE_API_TOKEN", str(token_in(home / "elsewhere")))
        shown = f"the token in KAGGLE_API_TOKEN, {home}/elsewhere/.kaggle/access_token"
    elif kind == "login":
        left = {"refresh_token": "canary-to-refresh", "access_token": TOKEN, "username": USER, "scopes": []}
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        (home / ".kaggle" / "credentials.json").write_text(json.dumps(left | {"access_token_expiration": expires}))
        shown = "the login of `kaggle auth login` in ~/.kaggle/credentials.json"
    else:
        monkeypatch.setenv("KAGGLE_USERNAME", USER)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        shown = f"KAGGLE_USERNAME ({USER}) and KAGGLE_KEY"
    assert api().submissions() == []
    printed = capsys.readouterr().out
    assert f"Kaggle: account {USER}, using {shown}\n" in printed
    assert TOKEN not in printed
    assert KEY not in printed


def test_without_credentials_the_remedy_is_printed(server: KaggleServer, home: Path) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    with pytest.raises(KaggleError, match=r"^no Kaggle credentials; make a token at .* ~/.kaggle/access_token$"):
        api().submissions()


def test_a_token_that_kaggle_does_not_know_is_named(server: KaggleServer, home: Path) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    token_in(home, "canary-of-an-old-token")
    with pytest.raises(
        KaggleError, match=r"does not accept the token in ~/.kaggle/access_token: it is invalid"
    ) as found:
        api().submissions()
    assert "canary" not in str(found.value)


def test_a_long_token_is_not_shown(server: KaggleServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client takes it for a file's name first, and a name has 255 characters at most."""
    (home / ".kaggle" / "kaggle.json").unlink()
    monkeypatch.setenv("KAGGLE_API_TOKEN", "canary" * 60)
    with pytest.raises(KaggleError) as found:
        api().submissions()
    assert "canary" not in str(found.value)


def test_a_token_that_is_in_the_way_of_a_key_is_named(
    server: KaggleServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client signs in by the key, and then sends the token all the same."""
    token_in(home, "canary-of-an-old-token")
    with pytest.raises(KaggleError):
        api().submissions()
    assert "does not accept the token in ~/.kaggle/access_token; remove it" in words(capsys.readouterr().out)


def test_a_login_that_has_expired_is_named(server: KaggleServer, home: Path) -> None:
    """The client removes it before anything can be printed about it."""
    (home / ".kaggle" / "kaggle.json").unlink()
    left = {"refresh_token": "canary", "access_token": "canary", "username": USER, "scopes": []}
    expired = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    (home / ".kaggle" / "credentials.json").write_text(json.dumps(left | {"access_token_expiration": expired}))
    server.faults["GenerateAccessToken"] = [Fault(status=401)] * 4
    with pytest.raises(KaggleError, match=r"the login of `kaggle auth login` .* type: .venv/bin/kaggle auth login"):
        api().submissions()


def test_a_file_here_that_cannot_be_used_is_not_called_the_network(server: KaggleServer, tmp_path: Path) -> None:
    (tmp_path / "toy.zip").mkdir()
    with pytest.raises(KaggleError, match=r"cannot use a file \(.*toy.zip: Is a directory\)"):
        api().download(tmp_path)


ASK = """
import sys, tempfile
from pathlib import Path
from digits.common.console import Console
from digits.config import KaggleParams
from digits.kaggle.api import CompetitionApi
if __name__ == "__main__":
    api = CompetitionApi("toy", KaggleParams.model_validate_json(sys.argv[1]), Console(plain=True))
    print(api.submissions())
    print([(oct(own.stat().st_mode), [*own.iterdir()]) for own in Path(tempfile.gettempdir()).glob("kaggle-*")])
"""


@pytest.mark.parametrize(
    "unusable",
    [
        {"HOME": "/dev/null/home"},
        {"HOME": "/nonexistent"},
        {"HOME": "closed"},
        {"KAGGLE_CONFIG_DIR": "/dev/null/kaggle"},
        {"XDG_CONFIG_HOME": "/dev/null/config"},
    ],
)
def test_the_client_has_a_folder_of_its_own_where_it_cannot_make_one_and_leaves_nothing(
    server: KaggleServer, home: Path, tmp_path: Path, unusable: dict[str, str]
) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    (home / ".kaggle").rmdir()
    if unusable == {"HOME": "closed"}:
        unusable = {"HOME": str(tmp_path / "closed")}
        (tmp_path / "closed").mkdir(mode=0o000)
        if os.access(tmp_path / "closed", os.X_OK):
            pytest.skip("this user may read everything")
    (tmp_path / "ask.py").write_text(ASK)
    (tmp_path / "tmp").mkdir()
    asked = subprocess.run(
        [sys.executable, tmp_path / "ask.py", QUICK.model_dump_json()],
        env=os.environ | {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY, "TMPDIR": str(tmp_path / "tmp")} | unusable,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert asked.stdout.splitlines()[1:] == ["[]", "[('0o40700', [])]"], asked.stderr
    assert [*(tmp_path / "tmp").iterdir()] == []
    assert not Path("/nonexistent").exists()


def test_without_a_home_missing_credentials_are_still_said(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/dev/null/home")
    with pytest.raises(KaggleError, match=r"^no Kaggle credentials; make a token"):
        api().submissions()


def expired_login() -> bytes:
    left = {"refresh_token": "canary", "access_token": "old canary", "username": USER, "scopes": []}
    return json.dumps(left | {"access_token_expiration": "2026-01-01T00:00:00+00:00"}).encode()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file that even the superuser cannot write")
def test_a_login_that_cannot_be_saved_is_renewed(
    server: KaggleServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    sealed = os.memfd_create("credentials", os.MFD_ALLOW_SEALING)
    os.write(sealed, expired_login())
    fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    (home / ".kaggle" / "credentials.json").symlink_to(f"/proc/{os.getpid()}/fd/{sealed}")
    assert api().submissions() == []
    assert f"account {USER}, using the login of `kaggle auth login`" in words(capsys.readouterr().out)
    assert "old canary" in (home / ".kaggle" / "credentials.json").read_text()
    os.close(sealed)


def test_a_login_in_a_folder_that_is_read_only_is_used(
    server: KaggleServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    login = home / ".kaggle" / "credentials.json"
    login.write_bytes(expired_login())
    login.chmod(0o400)
    login.parent.chmod(0o500)
    if os.access(login, os.W_OK):
        pytest.skip("this user may write everything")
    assert api().submissions() == []
    assert f"account {USER}, using the login of `kaggle auth login`" in words(capsys.readouterr().out)
    assert login.read_bytes() == expired_login()


def test_empty_and_wrong_variables_do_not_reach_the_client(
    server: KaggleServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".kaggle" / "kaggle.json").rename(home / "kaggle.json")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))  # it looks here only if it finds no empty key before
    for name, value in {"KAGGLE_KEY": "", "KAGGLE_API_TOKEN": "", "KAGGLE_TOKEN": "wrong"}.items():
        monkeypatch.setenv(name, value)
    assert api().submissions() == []


def test_a_number_is_a_key_as_it_is_for_the_client(
    server: KaggleServer, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kaggle_server.KEY", "123")
    (home / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": USER, "key": 123}))
    assert api().submissions() == []
    assert f"account {USER}, using the key in ~/.kaggle/kaggle.json" in capsys.readouterr().out


def test_a_file_that_others_can_read_is_reported(
    server: KaggleServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".kaggle" / "kaggle.json"
    path.chmod(0o644)
    api().submissions()
    assert f"type: chmod 600 {path}" in "".join(capsys.readouterr().out.split("\n"))


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (Fault(status=401), "it is invalid or has expired"),
        (Fault(status=403), "kaggle.com/c/toy/rules"),
        (Fault(status=404), "competition.slug"),
        (
            Fault(status=400, message=f"a  reason of {KEY}\nin two lines"),
            r"refuses the request \(a reason of \*\*\* in two lines\)",
        ),
    ],
)
def test_refusals_are_explained_in_a_line_and_not_repeated(server: KaggleServer, fault: Fault, remedy: str) -> None:
    server.faults["ListSubmissions"] = [fault] * 2
    with pytest.raises(KaggleError, match=remedy) as found:
        api().submissions()
    assert len(str(found.value).splitlines()) == 1
    assert KEY not in str(found.value)
    assert server.requests.count("ListSubmissions") == 1


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            NO_RULES,
            r"Kaggle refuses access \(You must accept .*\); accept the competition's rules at kaggle.com/c/t",
        ),
        (NOT_JOINED, r"Kaggle refuses access \(.*\); accept .* if there is no such page, correct competition.slug in"),
        (NO_COMPETITION, r"Kaggle has no competition called toy; correct competition.slug in params.yaml$"),
        (LIMIT, r"Kaggle allows no more submissions now \(.* \(5\) today.*\); run the same command again when the"),
        (CLOSED, r"the competition takes no file now \(.* have been disabled.*\); make submit UPLOAD=0 writes"),
        (NOTEBOOKS, r'the competition takes code alone \(.*Notebooks.\); type: make submit SET="submit.how=code"'),
        (TOO_LATE, r"the competition takes no file now \(.* deadline has passed.\); make submit UPLOAD=0 writes"),
        (
            NO_PHONE,
            r"Kaggle wants a verified account \(Phone .*\); verify it at kaggle.com/settings, then run the",
        ),
    ],
)
def test_what_kaggle_says_is_understood_and_not_asked_again(
    server: KaggleServer, tmp_path: Path, fault: Fault, line: str, flat: bool
) -> None:
    (tmp_path / "toy.csv").write_text("ImageId,Label\n1,2\n")
    server.faults["StartSubmissionUpload"] = [replace(fault, flat=flat)] * 2
    with pytest.raises(KaggleError, match=line) as found:
        api().upload(tmp_path / "toy.csv")
    assert len(str(found.value).splitlines()) == 1
    assert not found.value.transient
    assert found.value.failure.certain
    assert server.requests.count("StartSubmissionUpload") == 1


def test_what_passes_is_tried_again_and_then_given_up(server: KaggleServer, capsys: pytest.CaptureFixture[str]) -> None:
    kaggle = api()
    server.faults["ListSubmissions"] = [Fault(status=429, headers={"Retry-After": "0.2"}), Fault(status=503)]
    assert kaggle.submissions() == []
    assert "trying again in 0.2 s" in capsys.readouterr().out
    server.faults["ListSubmissions"] = [PAGE, DROP]
    assert kaggle.submissions() == []
    for faults, reason in (
        ([Fault(status=502)] * 3, "an internal error"),
        ([PAGE] * 3, "a web page instead of data"),
        ([DROP] * 3, "no connection to Kaggle"),
    ):
        server.faults["ListSubmissions"] = [*faults]
        with pytest.raises(KaggleError, match=reason):
            kaggle.submissions()
        assert server.faults["ListSubmissions"] == []
    server.faults["ListSubmissions"] = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(KaggleError, match="too many requests"):
        kaggle.submissions()


def test_a_server_that_never_answers_is_not_waited_for(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    server.faults["ListSubmissions"] = [Fault("stall", seconds=3600)]
    kaggle = api(quick(timeout=limit, retries=0))
    with pytest.raises(KaggleError, match=rf"takes too long \(no answer for {limit:g} s\)"):
        kaggle.submissions()
    monkeypatch.setattr(kaggle, "_params", QUICK)
    assert kaggle.submissions() == [], "the next request has a response of its own"


def test_no_network_is_not_taken_for_bad_credentials(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(KaggleError, match=r"no connection to Kaggle \(connection refused\)"):
        api(quick(retries=0)).submissions()


class RefusingProxy(BaseHTTPRequestHandler):
    """Wants a password for everything."""

    def do_CONNECT(self) -> None:
        self.send_response(407)
        self.end_headers()


def test_a_proxy_that_wants_a_password_is_named(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.faults["ListSubmissions"] = [Fault(status=407)]
    with pytest.raises(KaggleError, match=r"the proxy that HTTPS_PROXY names.*HTTPS_PROXY=http://NAME:PASSWORD"):
        api(quick(retries=0)).submissions()
    proxy = HTTPServer(("127.0.0.1", 0), RefusingProxy)
    Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.delenv("KAGGLE_API_ENVIRONMENT")  # so it is https, by way of a tunnel
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
    with pytest.raises(KaggleError, match=r"does not let the request through \(proxy authentication required\)"):
        api(quick(retries=0)).submissions()
    proxy.shutdown()


class InterceptingProxy(BaseHTTPRequestHandler):
    """Answers for every host with a certificate of its own, as proxies of companies do."""

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(__file__).parent / "untrusted.pem")  # made for this test
        with suppress(OSError):  # the client does not go on
            context.wrap_socket(self.connection, server_side=True)


def test_a_certificate_that_is_not_trusted_is_named(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = HTTPServer(("127.0.0.1", 0), InterceptingProxy)
    Thread(target=proxy.serve_forever, daemon=True).start()
    monkeypatch.delenv("KAGGLE_API_ENVIRONMENT")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
    with pytest.raises(KaggleError, match=r"not trusted \(certificate verify failed\).*REQUESTS_CA_BUNDLE=FILE"):
        api(quick(retries=0)).submissions()
    proxy.shutdown()


def test_the_archive_is_downloaded_whole(server: KaggleServer, tmp_path: Path) -> None:
    server.archive = archive()
    found = api().download(tmp_path / "there")
    assert found == tmp_path / "there" / "toy.zip"
    assert found.read_bytes() == server.archive
    assert server.ranges == []


def test_a_download_that_is_cut_goes_on_where_it_was(server: KaggleServer, tmp_path: Path) -> None:
    server.archive = archive()
    server.faults["toy.zip"] = [Fault("half")]
    assert api().download(tmp_path).read_bytes() == server.archive
    [piece] = server.ranges
    assert 0 < int(piece.removeprefix("bytes=").removesuffix("-")) < len(server.archive)


def test_a_download_that_stalls_is_ended_and_goes_on(server: KaggleServer, tmp_path: Path, limit: float) -> None:
    server.archive = archive()
    server.faults["toy.zip"] = [Fault("hang", seconds=3600)]
    # the next try needs time too
    server.faults["DownloadDataFiles"] = [Fault("none"), Fault("stall", seconds=limit / 2)]
    found = api(quick(timeout=limit, retries=20)).download(tmp_path)
    assert found.read_bytes() == server.archive
    assert server.requests.count("DownloadDataFiles") == 2
    assert len(server.ranges) == 1, "what had arrived is not requested again"


def test_a_page_does_not_cost_what_has_come_before(server: KaggleServer, tmp_path: Path, limit: float) -> None:
    server.archive = archive()
    server.faults["toy.zip"] = [Fault("hang", seconds=3600)]
    server.faults["DownloadDataFiles"] = [Fault("none"), PAGE]
    found = api(quick(timeout=limit, retries=20)).download(tmp_path)
    assert found.read_bytes() == server.archive
    assert len(server.ranges) == 1


def test_a_page_in_place_of_the_archive_is_refused(server: KaggleServer, tmp_path: Path) -> None:
    server.faults["DownloadDataFiles"] = [PAGE] * 3
    with pytest.raises(KaggleError, match="a web page instead of the archive"):
        api().download(tmp_path)


def test_what_fails_beside_the_process_is_no_silence_of_kaggle(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread waits for the process; what it raises comes out at once, and not as a timeout."""

    def fails(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr("digits.kaggle.api.run_in_subprocess", fails)
    with pytest.raises(OSError, match="too many open files"):
        CompetitionApi("toy", quick(timeout=3600), Console(plain=True)).submissions()
