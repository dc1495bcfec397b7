"""From download to score: real commands, Kaggle's real client, and a server that speaks its protocol."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import KaggleParams, load_params
from digits.kaggle.api import CompetitionApi
from digits.kaggle.ledger import Ledger, Line
from digits.kaggle.upload import Uploader, tag
from kaggle_server import CLOSED, DROP, KEY, TOKEN, USER, Fault, KaggleServer, token_in
from toys import MINUTES, QUICK, Digits, Shown, digits_command, quick, write_toy_files

pytestmark = pytest.mark.slow

SOON = (
    "kaggle.timeout=120",
    "kaggle.retries=1",
    "kaggle.backoff=0.1",
    "kaggle.poll_interval=0.1",
    "kaggle.listing_timeout=0.5",
)


def toy_archive(folder: Path) -> bytes:
    """The toy competition as Kaggle would serve it."""
    write_toy_files(folder)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(folder.glob("*.csv")):
            opened.write(file, file.name)
    return packed.getvalue()


def command(workspace: Path, *arguments: str, also: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run it as a user would, in a process of its own with the environment as it is now."""
    given = digits_command(*arguments, also=(*SOON, *also))
    return subprocess.run(given, cwd=workspace, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture
def connected(digits: Digits, server: KaggleServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """Run the command in the workspace, with the server for Kaggle and the credentials in `home`."""
    monkeypatch.setenv("HOME", str(home))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, toy: bool = True, also: tuple[str, ...] = ()) -> Shown:
        return digits(*arguments, toy=toy, also=(*SOON, *also))

    return run


def words(text: str) -> str:
    """A table's text without the spaces and line ends that make it one."""
    return " ".join(text.split())


def secrets_in(*places: Path) -> list[Path]:
    """Files that hold one of the canaries."""
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return [file for file in files if any(each.encode() in file.read_bytes() for each in (KEY, TOKEN))]


def test_from_download_to_score(
    connected: Digits, server: KaggleServer, home: Path, workspace: Path, tmp_path: Path
) -> None:
    (home / ".kaggle" / "kaggle.json").unlink()
    token_in(home)
    server.archive = toy_archive(tmp_path / "packed")
    server.faults["ListSubmissions"] = [Fault(status=503, message=f"no {TOKEN}")]
    shown = connected("submit")
    assert shown.returncode == 0, shown.stderr
    assert f"Kaggle: account {USER}, using the token in ~/.kaggle/access_token" in shown.stdout
    assert "Kaggle: 2 submissions today, 5 more are allowed" in shown.stdout
    assert "public score 0.99500, " in words(shown.stdout)
    assert " the expected interval" in words(shown.stdout)
    assert (workspace / "data" / "raw" / "kaggle" / "toy.zip").read_bytes() == server.archive
    ledger = Ledger(workspace / "submissions" / "ledger.csv")
    lines = ledger.lines()
    assert [line["state"] for line in lines] == ["written", "uploading", "uploaded", "scored"]
    assert {(line["provenance"], line["source"]) for line in lines} == {("kaggle", "toy.zip")}
    [message] = server.messages()
    for part in ("blend-", f"expected {float(lines[0]['expected']):.4f}", tag(lines[0]["sha256"][:12])):
        assert part in message
    assert [*server.blobs.values()] == [(workspace / "submissions" / lines[0]["file"]).read_bytes()]

    asked = len(server.requests)
    again = connected("submit")
    assert "Nothing to do" in again.stdout
    assert len(server.requests) == asked, "what is done is not asked for again"

    server.score = "0.00000"
    forced = command(workspace, "submit", "--force")
    assert forced.returncode == 0
    assert "public score 0.00000, below the expected interval" in words(forced.stdout)
    assert forced.stderr == ""
    assert len(server.submissions) == len({*server.messages()}) == 2

    server.score = "0.99500"
    other = connected("submit", also=("train.seed=5", "train.epochs=3"))
    best = f"differ from those of the best submission so far, {lines[0]['file']} with 0.99500"
    assert best in words(other.stdout)
    assert len(server.submissions) == 3

    told = connected("submissions").stdout
    assert "0.99500" in told
    assert "0.00000" in told
    assert "3 of toy, 3 of them uploaded" in told
    estimate = re.search(r"expected score ([01]\.\d{4} \([01]\.\d{4} to [01]\.\d{4}\))", words(shown.stdout))
    assert estimate
    assert estimate[1] in words(told)
    standing = words(connected("leaderboard").stdout)
    assert "team 0" in standing
    assert "rank 56 of 1,234 teams; best submission of this project: 0.99500" in standing

    texts = "".join(each.stdout + each.stderr for each in (shown, again, forced)) + told + standing
    assert TOKEN not in texts
    assert secrets_in(workspace) == []


def test_no_secret_is_in_what_is_refused_nor_in_a_traceback(server: KaggleServer, workspace: Path) -> None:
    server.faults["DownloadDataFiles"] = [Fault(status=400, message=f"{KEY} is wrong")]
    shown = command(workspace, "data", "--debug")
    assert shown.returncode == 2
    assert "Kaggle refuses the request (*** is wrong)" in shown.stderr
    (workspace / "submissions" / "ledger.csv").mkdir(parents=True)  # no file, which nobody expects
    broken = command(workspace, "leaderboard", "--debug")
    assert broken.returncode == 1
    assert "Traceback" in broken.stderr
    for each in (shown, broken):
        assert KEY not in each.stdout + each.stderr
    assert secrets_in(workspace) == []


def test_what_is_refused_leaves_the_file_and_says_what_to_do(
    connected: Digits, server: KaggleServer, workspace: Path
) -> None:
    write_toy_files(workspace / "data" / "raw")
    never = connected("submit", "--no-upload")
    assert never.returncode == 0
    assert "uploads it" in never.stdout
    assert server.requests == []
    ledger = Ledger(workspace / "submissions" / "ledger.csv")

    server.allowed = 0
    limited = connected("submit")
    assert limited.returncode == 2
    assert "no more submissions today" in limited.stderr
    assert [line["state"] for line in ledger.lines()] == ["written"]

    server.allowed, server.status = 5, "PENDING"
    soon = ("kaggle.score_timeout=0.01",)
    pending = connected("submit", also=soon)
    assert pending.returncode == 0
    assert "uploaded, not scored yet: type make score" in words(pending.stdout)

    def press(asked: int = len(server.requests)) -> None:
        while len(server.requests) < asked + 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    stopped = connected("submit", also=("kaggle.score_timeout=10",))
    assert stopped.returncode == 130
    assert "interrupted; the file is sent, make score asks for its score" in stopped.stderr
    assert connected("submit", "--force", also=soon).returncode == 0
    assert len(server.submissions) == 1, "what is still to be scored is not sent once more"
    server.status = "COMPLETE"
    scored = connected("score")
    assert scored.returncode == 0
    assert "public score 0.99500" in words(scored.stdout)

    assert connected("submit", "--force", "--no-upload").returncode == 0
    server.allowed = 0
    assert connected("submit", "--force").returncode == 2
    server.allowed = 5
    assert connected("submit").returncode == 0
    assert len(server.submissions) == 1, "a file that Kaggle has is sent once more by FORCE=1 alone"
    for times in (2, 3):
        (workspace / "submissions" / "ledger.csv").unlink()  # as on another machine
        assert connected("submit", "--force").returncode == 0
        assert len(server.submissions) == times


def test_what_may_have_arrived_is_not_sent_again_by_the_same_command(
    connected: Digits, server: KaggleServer, workspace: Path
) -> None:
    write_toy_files(workspace / "data" / "raw")
    server.faults["CreateSubmission"] = [DROP]
    for _ in range(2):
        lost = connected("submit")
        assert lost.returncode == 2
        assert re.search(r"if that is still so in \d+ min, make submit sends it again", lost.stderr)
    waited = connected("score")
    assert waited.returncode == 0
    assert "make submit FORCE=1 sends it at once" in words(waited.stdout)
    assert server.requests.count("CreateSubmission") == 1
    assert "public score 0.99500" in words(connected("submit", "--force").stdout)
    [message] = server.messages()
    ledger = Ledger(workspace / "submissions" / "ledger.csv")
    assert message.startswith(tag(ledger.lines()[0]["intent"])), "what is first is not cut off"


def interrupted(workspace: Path, connected: Digits, *arguments: str) -> Shown:
    """Run it, and press Ctrl-C when another fit of a network is finished."""

    def fits() -> set[Path]:
        return {*(workspace / "runs").glob("cnn-*/fold-*"), *(workspace / "runs").glob("cnn-*/refit-*")}

    before = fits()

    def press() -> None:
        deadline = time.monotonic() + 600
        while fits() == before and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    return connected(*arguments, also=LONG)


LONG = ("train.epochs=30", "train.refits=2", MINUTES)


def test_what_the_user_interrupts_is_not_sent(connected: Digits, server: KaggleServer, workspace: Path) -> None:
    write_toy_files(workspace / "data" / "raw")
    for arguments in (("submit",), ("submit", "--upload", "--force")):
        stopped = interrupted(workspace, connected, *arguments)
        assert stopped.returncode == 130
        assert "predictions, expected score" in words(stopped.stdout)
        assert stopped.stdout.count("nothing has been sent to Kaggle yet") == 1
        assert "uploads it" in stopped.stdout
        assert "StartSubmissionUpload" not in server.requests
    ledger = Ledger(workspace / "submissions" / "ledger.csv")
    assert {line["state"] for line in ledger.lines()} == {"written"}
    assert connected("submit", also=LONG).returncode == 0
    assert len(server.submissions) == 1


def test_practice_is_never_uploaded(connected: Digits, server: KaggleServer) -> None:
    shown = connected("submit", "--data", "practice")
    assert shown.returncode == 0, shown.stderr
    assert "practice only" in words(shown.stdout)
    insisted = connected("submit", "--data", "practice", "--upload")
    assert insisted.returncode == 2
    assert "practice data is never uploaded" in insisted.stderr
    assert server.requests == []


@pytest.mark.usefixtures("connected")
def test_init_downloads_a_competition_by_its_slug(
    digits: Digits, server: KaggleServer, workspace: Path, tmp_path: Path
) -> None:
    server.archive, server.code_only = toy_archive(tmp_path / "packed"), True
    told = digits("init", "--data", "kaggle:toy", toy=False)
    assert told.returncode == 0, told.stderr
    assert "12x12, grey" in told.stdout
    submit = load_params(workspace / "params.toy.yaml").submit
    assert (submit.upload, submit.how) == (True, "code")
    asked = len(server.requests)
    assert digits("data", "--params", "params.toy.yaml", toy=False).returncode == 0
    assert len(server.requests) == asked, "the files are there"


def test_a_damaged_archive_is_refused_and_downloaded_anew(
    connected: Digits, server: KaggleServer, tmp_path: Path
) -> None:
    whole = toy_archive(tmp_path / "packed")
    middle = len(whole) // 4
    flipped = [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in (middle, middle + 1, middle + 200)]
    for damaged in (whole[: len(whole) // 2], *flipped):
        server.archive = damaged
        shown = connected("data")
        assert shown.returncode == 2
        assert "a damaged archive" in shown.stderr
        assert "run the same command again" in shown.stderr
    server.archive = whole
    assert connected("data").returncode == 0


def test_rules_that_are_not_accepted_are_named_before_anything_is_fitted(server: KaggleServer, workspace: Path) -> None:
    server.faults["DownloadDataFiles"] = [Fault(status=403, message="You must accept this competition's rules")]
    shown = command(workspace, "submit")
    assert shown.returncode == 2
    assert "kaggle.com/c/toy/rules" in shown.stderr
    assert not (workspace / "data" / "raw" / "kaggle" / "toy.zip").exists()


def test_a_faulty_credentials_file_is_named_and_practice_images_do_not_take_its_place(
    connected: Digits, server: KaggleServer, home: Path, workspace: Path
) -> None:
    path = home / ".kaggle" / "kaggle.json"
    path.write_text(path.read_text(), encoding="utf-16")  # as PowerShell's > writes
    shown = connected("submit")
    assert shown.returncode == 2
    assert f"{path}: is UTF-16 text; it must be UTF-8" in words(shown.stderr)
    assert "PRACTICE" not in shown.stdout
    assert KEY not in shown.stderr
    write_toy_files(workspace / "data" / "raw")
    never = connected("submit", "--no-upload")
    assert never.returncode == 0, never.stderr
    refused = connected("submit")
    assert refused.returncode == 2
    assert f"{path}: is UTF-16 text" in words(refused.stderr)
    assert server.requests == []


def test_a_closed_competition_is_said_once_and_the_file_is_kept(
    connected: Digits, server: KaggleServer, workspace: Path
) -> None:
    write_toy_files(workspace / "data" / "raw")
    server.faults["CreateSubmission"] = [CLOSED] * 2
    shown = connected("submit")
    assert shown.returncode == 2
    assert "the competition takes no file now" in words(shown.stderr)
    assert server.requests.count("CreateSubmission") == 1
    [line] = Ledger(workspace / "submissions" / "ledger.csv").intents("toy").values()
    assert line["state"] == "failed"
    assert "Submissions have been disabled for this competition" in line["reason"]
    written = connected("submit", "--no-upload")
    assert written.returncode == 0, "the remedy"
    assert (workspace / "submissions" / line["file"]).exists()


DELIVER = """
import sys
from pathlib import Path
from digits.kaggle.api import CompetitionApi
from digits.config import KaggleParams
from digits.common.console import Console
from digits.kaggle.upload import Uploader
from digits.kaggle.ledger import Ledger
folder, params = Path(sys.argv[1]), KaggleParams.model_validate_json(sys.argv[2])
console = Console(plain=True)
if __name__ == "__main__":
    ledger = Ledger(folder / "ledger.csv")
    Uploader(CompetitionApi("toy", params, console), ledger, params, console).submit_once("abc", folder / "toy.csv")
"""


def begin(folder: Path, **params: float) -> "subprocess.Popen[bytes]":
    """A command that submits folder/toy.csv as the intent abc."""
    script = folder / "deliver.py"
    script.write_text(DELIVER)
    given = quick(**params).model_dump_json()
    return subprocess.Popen([sys.executable, str(script), str(folder), given], stdout=subprocess.DEVNULL)


@pytest.fixture
def intent(tmp_path: Path) -> Ledger:
    """A file that is to be submitted, and its ledger."""
    (tmp_path / "toy.csv").write_bytes(b"ImageId,Label\n1,2\n")
    ledger = Ledger(tmp_path / "ledger.csv")
    ledger.append({"intent": "abc", "competition": "toy", "message": f"one {tag('abc')}"}, "written", "1")
    return ledger


def test_two_commands_at_once_submit_once(server: KaggleServer, intent: Ledger, tmp_path: Path) -> None:
    server.faults["CreateSubmission"] = [Fault("stall", seconds=0.5)]
    both = [begin(tmp_path, score_timeout=1) for _ in range(2)]
    while "CreateSubmission" not in server.requests:
        assert all(process.poll() is None for process in both)
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(b"deliver.py" in line for line in running)
    assert not any(KEY.encode() in line for line in running)
    assert [process.wait(600) for process in both] == [0, 0]
    assert server.messages() == ["one [abc]"]
    assert [line["state"] for line in intent.lines()] == ["written", "uploading", "uploaded", "scored"]


def submit_here(intent: Ledger, params: KaggleParams) -> Line:
    """The same as `begin`, in this process."""
    console = Console(plain=True)
    uploader = Uploader(CompetitionApi("toy", params, console), intent, params, console)
    return uploader.submit_once("abc", intent.path.with_name("toy.csv"))


def test_killed_while_the_list_is_far_too_late_it_submits_once(
    server: KaggleServer, intent: Ledger, tmp_path: Path
) -> None:
    server.lag = 20  # looks; a command looks at most 8 times, the one that is killed twice
    process = begin(tmp_path, listing_timeout=3600, poll_interval=600)
    while "CreateSubmission" not in server.requests:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    for _ in range(2):
        with pytest.raises(UserError, match="it is unknown whether it has arrived, and Kaggle does not list it"):
            submit_here(intent, quick(resend_after=10080))
    server.lag = 0
    server.submissions[0]["listed"] = 0
    assert submit_here(intent, quick(resend_after=10080))["state"] == "scored"
    assert server.messages() == ["one [abc]"]


@pytest.mark.parametrize("moment", range(10))
def test_killed_at_any_moment_and_typed_again_it_submits_once(
    server: KaggleServer, intent: Ledger, tmp_path: Path, moment: int
) -> None:
    generator = random.Random(moment)
    # requests of one submission: list, limits, start, upload, create, list
    last = generator.randint(1, 6)
    for name in ("ListSubmissions", "GetSubmissionLimits", "StartSubmissionUpload", "blob1", "CreateSubmission"):
        server.faults[name] = [Fault("stall", seconds=0.1)]
    process = begin(tmp_path)
    deadline = time.monotonic() + 600
    while len(server.requests) < last:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(generator.random() * 0.2)
    process.kill()
    process.wait()
    assert submit_here(intent, QUICK)["state"] == "scored"
    time.sleep(0.3)  # what the killed command had on its way would be there by now
    assert server.messages() == ["one [abc]"], [line["state"] for line in intent.lines()]
