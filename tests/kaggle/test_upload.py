"""A file is submitted once, whatever happens on the way, and the ledger says what happened."""

from pathlib import Path

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.kaggle.api import CompetitionApi
from digits.kaggle.failures import KaggleError
from digits.kaggle.ledger import Ledger
from digits.kaggle.upload import Uploader, now, tag
from kaggle_server import DROP, LOSE, PAGE, Fault, KaggleServer
from toys import quick

pytestmark = pytest.mark.slow

CONTENT = b"ImageId,Label\n1,2\n"
ENTRY = {"competition": "toy", "file": "toy.csv", "expected_low": "0.99", "expected_high": "0.999"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """With two intents, one of whose names begins as the other's."""
    found = Ledger(tmp_path / "ledger.csv")
    for intent in ("abc", "abc-2"):
        found.append(ENTRY | {"intent": intent, "message": f"expected 0.99 {tag(intent)}"}, "written", "1")
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.csv"
    path.write_bytes(CONTENT)
    return path


def uploader(ledger: Ledger, **params: float) -> Uploader:
    kaggle_params, console = quick(**params), Console(plain=True)
    return Uploader(CompetitionApi("toy", kaggle_params, console), ledger, kaggle_params, console)


def states(ledger: Ledger, intent: str = "abc") -> list[str]:
    return [line["state"] for line in ledger.lines() if line["intent"] == intent]


def test_a_file_is_sent_listed_and_scored(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    done = uploader(ledger)
    assert done.submit_once("abc", file)["state"] == "scored"
    line = done.wait_for_score("abc")
    assert (line["state"], line["public_score"], line["ref"]) == ("scored", "0.99500", "7")
    assert states(ledger) == ["written", "uploading", "uploaded", "scored"]
    assert [*server.blobs.values()] == [CONTENT]
    assert server.messages() == ["expected 0.99 [abc]"]
    assert server.requests.index("GetSubmissionLimits") < server.requests.index("StartSubmissionUpload")
    count = len(server.requests)
    assert done.submit_once("abc", file) == line
    assert len(server.requests) == count, "what is done is not requested again"
    done.submit_once("abc-2", file)
    assert server.messages() == ["expected 0.99 [abc-2]", "expected 0.99 [abc]"]


def test_what_another_machine_has_sent_is_not_sent_again(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    server.submissions.append({"ref": 3, "description": "from elsewhere [abc]"})
    assert uploader(ledger).submit_once("abc", file)["ref"] == "3"
    assert server.blobs == {}
    assert states(ledger) == ["written", "uploaded", "scored"]


def test_beyond_the_limit_nothing_is_sent(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    server.allowed = 0
    with pytest.raises(
        UserError, match=r"no more submissions today \(2 were made\); run the same command again in \d+\.\d hours"
    ):
        uploader(ledger).submit_once("abc", file)
    assert states(ledger) == ["written"]
    assert server.blobs == {}
    server.allowed = 1
    assert uploader(ledger).submit_once("abc", file)["state"] == "scored"


# what goes wrong, at which request; and whether the same command gets over it by itself
FAULTS = {
    "drop before": ("StartSubmissionUpload", [DROP], True),
    "drop during": ("blob1", [DROP], True),
    "drop after": ("CreateSubmission", [DROP], True),
    "reply lost": ("CreateSubmission", [LOSE], True),
    "busy": ("CreateSubmission", [Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503)], True),
    "a page": ("StartSubmissionUpload", [PAGE], True),
    "upload refused": ("blob1", [Fault(status=403)], True),
    "too many requests": ("CreateSubmission", [Fault(status=429, headers={"Retry-After": "86400"})], False),
    "rules": ("CreateSubmission", [Fault(status=403)], False),
    "refused": ("CreateSubmission", [Fault(status=400, message="Your team has used its submissions")], False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_after_any_fault_there_is_one_submission_and_the_ledger_is_true(
    server: KaggleServer, ledger: Ledger, file: Path, name: str
) -> None:
    where, faults, recovers = FAULTS[name]
    server.faults[where] = [*faults]
    if recovers:
        assert uploader(ledger).submit_once("abc", file)["state"] == "scored"
    else:
        with pytest.raises(KaggleError) as found:
            uploader(ledger).submit_once("abc", file)
        assert server.submissions == []
        assert states(ledger)[-1] == "failed"
        assert ledger.intents("toy")["abc"]["reason"] == str(found.value)
        assert len(str(found.value).splitlines()) == 1
        assert uploader(ledger).submit_once("abc", file)["state"] == "scored"
    assert server.messages() == ["expected 0.99 [abc]"], "one, and no other"
    assert server.blobs[server.submissions[0]["blob"]] == CONTENT
    uploader(ledger).submit_once("abc", file)
    assert len(server.submissions) == 1


def test_when_it_is_not_known_whether_a_file_has_arrived_the_next_command_looks(
    server: KaggleServer, ledger: Ledger, file: Path
) -> None:
    server.faults["CreateSubmission"] = [LOSE]
    done = uploader(ledger, retries=0)
    # the list can be read before the upload, and cannot after it
    server.faults["ListSubmissions"] = [Fault("none"), DROP]
    with pytest.raises(KaggleError, match="it is unknown whether the file has arrived; run the command again"):
        done.submit_once("abc", file)
    assert states(ledger) == ["written", "uploading"]
    assert len(server.submissions) == 1
    assert uploader(ledger).submit_once("abc", file)["state"] == "scored"
    assert len(server.submissions) == 1


@pytest.mark.parametrize("last", [Fault(status=500), Fault(status=403)])
def test_what_may_have_arrived_has_not_failed(server: KaggleServer, ledger: Ledger, file: Path, last: Fault) -> None:
    """Not even where a later try is refused for certain: the first may be on its way."""
    server.faults["CreateSubmission"] = [Fault(status=500), Fault(status=500), last]
    with pytest.raises(KaggleError) as found:
        uploader(ledger).submit_once("abc", file)
    line = ledger.intents("toy")["abc"]
    assert (line["state"], line["reason"]) == ("uploading", str(found.value))
    server.late, server.requests = [{"ref": 5, "description": "expected 0.99 [abc]"}], []
    assert uploader(ledger, listing_timeout=60).submit_once("abc", file)["ref"] == "5"


WEEK = 10080  # minutes: longer than any test, so nothing is sent again for time that has passed


def submitted_at_last(ledger: Ledger, file: Path) -> list[str]:
    """Type the same again until it is submitted; returns what was said before."""
    said: list[str] = []
    done = uploader(ledger, resend_after=WEEK)  # one for all commands: its client takes seconds to start
    while True:
        try:
            assert done.submit_once("abc", file)["state"] == "scored"
        except UserError as error:
            said.append(str(error))
        else:
            return said


@pytest.mark.parametrize("fault", [Fault("none"), LOSE])
def test_a_list_that_is_far_too_late_is_waited_for_by_one_command_after_the_other(
    server: KaggleServer, ledger: Ledger, file: Path, fault: Fault
) -> None:
    server.faults["CreateSubmission"] = [fault]
    server.lag = 20  # a command looks at most 8 times
    said = submitted_at_last(ledger, file)
    assert len(said) >= 2
    known = "toy.csv: Kaggle has accepted the file (number 7), but does not list it yet; make score looks for it again"
    unknown = "toy.csv: it is unknown whether it has arrived, and Kaggle does not list it"
    for line in said:
        assert (known if fault.how == "none" else unknown) in line
        assert "make submit FORCE=1 sends it" in line
    assert server.messages() == ["expected 0.99 [abc]"]
    assert server.requests.count("CreateSubmission") == 1
    assert states(ledger) == ["written", "uploading", "uploading", "uploaded", "scored"]


def test_what_may_still_arrive_has_not_failed_when_its_score_is_asked_for(server: KaggleServer, ledger: Ledger) -> None:
    ledger.append(ledger.intents("toy")["abc"], "uploading", now())
    with pytest.raises(UserError, match=r"if that is still so in \d+ min, make submit sends it again"):
        uploader(ledger, resend_after=WEEK).refresh("abc")
    assert states(ledger) == ["written", "uploading"]


@pytest.mark.parametrize(("where", "fault"), [("StartSubmissionUpload", DROP), ("blob1", Fault(status=403))])
def test_nothing_is_submitted_before_the_file_is_with_kaggle(
    server: KaggleServer, ledger: Ledger, file: Path, where: str, fault: Fault
) -> None:
    """So what goes wrong before that is tried again at once, and never in doubt."""
    server.faults[where] = [fault]
    assert uploader(ledger, resend_after=WEEK).submit_once("abc", file)["state"] == "scored"
    assert states(ledger) == ["written", "uploading", "uploaded", "scored"]
    server.faults[where.replace("1", "2")] = [fault]
    with pytest.raises(KaggleError):
        uploader(ledger, retries=0).submit_once("abc-2", file)
    assert states(ledger, "abc-2") == ["written", "failed"]


# the time of an upload that was lost, and whether only the user can have it sent again
LOST = {
    "just now": (now(), True),
    "long ago": ("2020-01-02T03:04:05+00:00", False),
    "long ago, saved by a spreadsheet": ("2020-01-02 03:04", False),
    "lost by a spreadsheet": ("2. Jan", True),
}


@pytest.mark.parametrize("time", LOST)
def test_what_was_lost_is_sent_after_long_or_where_the_user_says_so(
    server: KaggleServer, ledger: Ledger, file: Path, time: str
) -> None:
    began, forced = LOST[time]
    ledger.append(ledger.intents("toy")["abc"], "uploading", began)
    done = uploader(ledger, resend_after=WEEK)
    if forced:
        with pytest.raises(UserError, match="make submit FORCE=1 sends it at once"):
            done.submit_once("abc", file)
        assert server.blobs == {}
    assert done.submit_once("abc", file, force=forced)["state"] == "scored"
    assert len(server.submissions) == 1


def test_what_has_a_number_is_sent_once_more_by_the_user_alone(
    server: KaggleServer, ledger: Ledger, file: Path
) -> None:
    ledger.append(ledger.intents("toy")["abc"] | {"ref": "5"}, "uploading", "2020-01-02T03:04:05+00:00")
    taken = r"^toy.csv: Kaggle has accepted the file \(number 5\), but does not list it yet"
    with pytest.raises(UserError, match=taken):
        uploader(ledger).submit_once("abc", file)
    with pytest.raises(UserError, match=taken):
        uploader(ledger).refresh("abc")
    assert server.blobs == {}
    assert uploader(ledger).submit_once("abc", file, force=True)["ref"] == "7"


def test_a_reply_that_takes_too_long_is_looked_for_and_not_sent_again(
    server: KaggleServer, ledger: Ledger, file: Path, limit: float
) -> None:
    server.faults["CreateSubmission"] = [Fault("stall", seconds=1.5 * limit)]
    done = uploader(ledger, timeout=limit, listing_timeout=600, retries=20)
    assert done.submit_once("abc", file)["state"] == "scored"
    assert server.messages() == ["expected 0.99 [abc]"]
    assert server.requests.count("CreateSubmission") == 1


def test_what_was_being_sent_and_never_arrived_is_settled(server: KaggleServer, ledger: Ledger) -> None:
    ledger.append(ledger.intents("toy")["abc"], "uploading", "2")
    assert uploader(ledger).refresh("abc")["state"] == "failed"
    assert "has not arrived" in ledger.intents("toy")["abc"]["reason"]


def test_a_score_that_is_no_number_is_waited_for(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    server.score = ""
    assert uploader(ledger).submit_once("abc", file)["state"] == "uploaded"
    server.score = "0.9"
    assert uploader(ledger).wait_for_score("abc")["public_score"] == "0.9"


def test_what_is_listed_late_is_waited_for(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    """As after a kill: the submission was on its way, and turns up while the next command looks for it."""
    ledger.append(ledger.intents("toy")["abc"], "uploading", "2")
    server.late = [{"ref": 5, "description": "expected 0.99 [abc]"}]
    assert uploader(ledger, listing_timeout=60).submit_once("abc", file)["ref"] == "5"
    assert server.blobs == {}


def test_what_was_interrupted_before_it_was_sent_is_sent(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    ledger.append(ledger.intents("toy")["abc"], "uploading", "2")
    assert uploader(ledger).submit_once("abc", file)["state"] == "scored"
    assert len(server.submissions) == 1


def test_what_kaggle_cannot_score_is_told_with_its_reason(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    server.status, server.error = "ERROR", "Submission must have 28000 rows"
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"toy.csv: Kaggle could not score it: Submission must have 28000 rows; .* FORCE=1 sends"
        ):
            uploader(ledger).submit_once("abc", file)
    assert states(ledger) == ["written", "uploading", "failed"]
    assert len(server.submissions) == 1


def test_a_score_is_waited_for_and_requested_later(server: KaggleServer, ledger: Ledger, file: Path) -> None:
    server.status = "PENDING"
    done = uploader(ledger)
    assert done.submit_once("abc", file)["state"] == done.wait_for_score("abc")["state"] == "uploaded"
    assert done.refresh("abc")["state"] == "uploaded"
    server.status = "COMPLETE"
    assert done.refresh("abc")["public_score"] == "0.99500"
    assert states(ledger) == ["written", "uploading", "uploaded", "scored"]
    assert done.refresh("abc-2")["state"] == "written"
