"""A session on Kaggle ends with the command that began it, however that command ends; the client is the real one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.kaggle.api import CompetitionApi
from digits.kaggle.failures import KaggleError
from digits.kaggle.sessions import Sessions
from kaggle_server import DROP, LOSE, PAGE, Fault, key_in, running
from kernels_server import KernelsServer
from toys import ROOT, quick

pytestmark = pytest.mark.slow

LEAVES = "print('at work', flush=True)\nfor n in range(5):\n    open(f'{n}.json', 'w').write('{}')\n"
LASTS = f"{LEAVES}import time\ntime.sleep(600)\n"
# a command that has a session, in a process of its own
COMMAND = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from digits.common.interrupts import Interruption
from test_sessions import sessions
if __name__ == "__main__":
    found = sessions(Path(sys.argv[1]))
    with Interruption().raised(), found.alone(), found.pushed(sys.argv[2], True, False, 900) as kernel:
        found.follow(kernel, 1)
        found.fetch(kernel.slug, Path(sys.argv[1]) / kernel.slug)
"""


def sessions(folder: Path, **params: float) -> Sessions:
    given, console = quick(**{"listing_timeout": 5} | params), Console(plain=True)
    return Sessions(CompetitionApi("toy", given, console), folder, given, console)


@pytest.fixture
def kernels(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelsServer]:
    """A running server with a competition of one file, which the client takes for Kaggle."""
    key_in(home)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.csv").write_text("label\n")
    with running(KernelsServer(tmp_path, tmp_path / "files")) as server:
        assert isinstance(server, KernelsServer)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_is_private_and_has_the_cards_and_leaves_its_files(kernels: KernelsServer, tmp_path: Path) -> None:
    found = sessions(tmp_path / "kaggle")
    with found.pushed(LEAVES, gpu=True, internet=False, seconds=900) as kernel:
        assert [path.stem for path in (tmp_path / "kaggle").glob("*.json")] == [kernel.slug]
        assert found.follow(kernel, 1).state == "complete"
        output = found.fetch(kernel.slug, tmp_path / "left")
    assert output.log == "at work\n"
    assert {path.name for path in (tmp_path / "left").iterdir()} == {f"{n}.json" for n in range(5)}, "of all pages"
    assert not kernels.kernels
    assert not [*(tmp_path / "kaggle").glob("*.json")]
    request = kernels.deleted[0].request
    assert (request["isPrivate"], request["enableInternet"], request["machineShape"]) == (True, False, "NvidiaTeslaT4")
    assert request["slug"] == f"someone/{request['newTitle']}"
    assert request["competitionDataSources"] == ["toy"]
    assert request["sessionTimeoutSeconds"] == 900


def test_a_file_whose_address_has_expired_is_fetched_again(kernels: KernelsServer, tmp_path: Path) -> None:
    found = sessions(tmp_path / "kaggle")
    with found.pushed(LEAVES, gpu=True, internet=False, seconds=900) as kernel:
        found.follow(kernel, 1)
        kernels.faults["file"] = [Fault(status=403), Fault(status=503)]
        found.fetch(kernel.slug, tmp_path / "left")
    assert {path.read_text() for path in (tmp_path / "left").iterdir()} == {"{}"}, "no page of an error"


# what goes wrong, at which request; and what is said where the same command does not get over it
FAULTS: dict[str, tuple[str, list[Fault], str]] = {
    "the push is lost": ("SaveKernel", [DROP], ""),
    "the answer is lost": ("SaveKernel", [LOSE], ""),
    "throttling is a page": ("SaveKernel", [PAGE], ""),
    "throttling": ("SaveKernel", [Fault(status=429, headers={"Retry-After": "0"})], ""),
    "a page for a status": ("GetKernelSessionStatus", [PAGE, Fault(status=502)], ""),
    "a page for the output": ("ListKernelSessionOutput", [PAGE], ""),
    "the deletion is refused at first": ("DeleteKernel", [Fault(status=503), PAGE], ""),
    "two sessions": ("SaveKernel", [Fault(status=412, message="busy")], "two GPU sessions of an account at a time"),
    "no verified account": ("SaveKernel", [Fault(status=403, message="verify your phone")], "wants a verified account"),
    "no rules accepted": ("SaveKernel", [Fault(status=403, message="no")], "accept the competition's rules"),
}


def tried(found: Sessions, left: Path) -> str:
    """Have a session do its work; returns what is said where that fails."""
    try:
        with found.pushed(LEAVES, gpu=True, internet=False, seconds=900) as kernel:
            found.follow(kernel, 1)
            found.fetch(kernel.slug, left)
    except KaggleError as error:
        return str(error)
    return ""


def test_after_any_fault_one_session_has_worked_or_a_line_says_why_none_has(
    kernels: KernelsServer, tmp_path: Path
) -> None:
    found = sessions(tmp_path / "kaggle")  # one for all: its client takes seconds to start
    for name, (where, faults, expected) in FAULTS.items():
        kernels.faults[where], kernels.most = [*faults], 0
        said = tried(found, left := tmp_path / name.replace(" ", "-"))
        assert (expected in said and len(said.splitlines()) == 1) if expected else said == "", name
        assert expected or len([*left.iterdir()]) == 5, name
        assert kernels.most <= 1, f"{name}: what may have been begun is deleted before the next push"
        assert not kernels.kernels, name
        found.end_abandoned()
        assert not [*(tmp_path / "kaggle").glob("*.json")], f"{name}: also of a push that may have arrived late"


def test_what_is_refused_in_an_answer_that_says_ok(kernels: KernelsServer, tmp_path: Path) -> None:
    found = sessions(tmp_path / "kaggle")
    for refusal, expected in {
        "Maximum batch GPU session count of 2 reached.": "two GPU sessions of an account at a time",
        "You have exceeded your weekly GPU quota": "Kaggle gives no GPU (You have exceeded",
        "Source too large": "Kaggle refuses the request (Source too large)",
    }.items():
        kernels.refusals = [refusal]
        said = tried(found, tmp_path / "left")
        assert expected in said
        assert len(said.splitlines()) == 1
        assert not [*(tmp_path / "kaggle").glob("*.json")]
    kernels.renames = True
    assert "it has called the session /code/someone/digits-toy-" in tried(found, tmp_path / "left")
    assert not kernels.kernels, "under whatever name"


def test_a_session_that_somebody_deletes_is_told(kernels: KernelsServer, tmp_path: Path) -> None:
    kernels.queued, found = True, sessions(tmp_path / "kaggle", listing_timeout=0.2)
    with found.pushed(LASTS, gpu=True, internet=False, seconds=900) as kernel:
        kernels.kernels.clear()
        with pytest.raises(UserError, match="Kaggle no longer has the session digits-toy-"):
            found.follow(kernel, 1)


def started(folder: Path, script: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(Path(__file__).parent)])}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Interrupting:
    """A queue; the process is interrupted as it has put something there."""

    def __init__(self, queue: "SimpleQueue[Any]"):
        self.queue = queue

    def put(self, item: Any) -> None:
        self.queue.put(item)
        raise KeyboardInterrupt


# the request at which a command is killed, which of them, and whether the session would go on
MOMENTS = {
    "before the push arrives": ("SaveKernel", 1, True),
    "while it waits for a machine": ("GetKernelSessionStatus", 1, True),
    "once it has one": ("GetKernelSessionStatus", 2, True),
    "while it runs": ("GetKernelSessionStatus", 5, True),
    "when it has finished": ("ListKernelSessionOutput", 1, False),
    "while its output is listed": ("ListKernelSessionOutput", 2, False),
    "while a file is fetched": ("file", 1, False),
    "while it is deleted": ("DeleteKernel", 1, False),
}


def test_after_a_kill_the_next_command_ends_the_session(kernels: KernelsServer, tmp_path: Path) -> None:
    found = sessions(tmp_path / "kaggle")
    for moment, (request, count, lasts) in MOMENTS.items():
        kernels.requests.clear()
        before, kept = len(kernels.pushed), list[str]()
        kernels.faults[request] = [Fault("none")] * (count - 1) + [Fault("stall", seconds=1)]
        command = started(tmp_path / "kaggle", LASTS if lasts else LEAVES)
        until(lambda: kernels.requests.count(request) >= count)  # noqa: B023 - it is called here
        command.kill()
        command.communicate()
        time.sleep(1.2)  # what was on its way arrives
        assert len(kernels.pushed) == before + 1, moment
        found.end_abandoned(kept.append)
        assert not kernels.kernels, moment
        assert not [*(tmp_path / "kaggle").glob("*.json")], moment
        assert len(kernels.pushed) == before + 1, f"{moment}: one session for one command"
        assert len(kept) == (not lasts and request != "DeleteKernel"), f"{moment}: what has finished is fetched"


def test_an_interrupted_command_ends_its_session(kernels: KernelsServer, tmp_path: Path) -> None:
    for number, request in (
        (signal.SIGINT, "SaveKernel"),
        (signal.SIGTERM, "GetKernelSessionStatus"),
        (signal.SIGHUP, "ListKernelSessionOutput"),
    ):
        kernels.faults[request], before = [Fault("stall", seconds=1)], len(kernels.pushed)
        command = started(tmp_path / "kaggle", LEAVES if number == signal.SIGHUP else LASTS)
        until(lambda: request in kernels.requests)  # noqa: B023 - it is called here
        command.send_signal(number)
        command.communicate(timeout=60)
        if number == signal.SIGINT:  # the push arrives, or does not, after the command has ended
            time.sleep(1.2)
            sessions(tmp_path / "kaggle").end_abandoned()
        assert not kernels.kernels
        assert not [*(tmp_path / "kaggle").glob("*.json")]
        assert len(kernels.pushed) <= before + 1


def test_an_interruption_as_a_request_is_sent_does_not_mix_up_the_answers(
    kernels: KernelsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to that request, which comes later, is not that of the deletion."""
    found = sessions(tmp_path / "kaggle")

    kernels.faults["GetKernelSessionStatus"] = [Fault("stall", seconds=0.5)]
    with suppress(KeyboardInterrupt), found.pushed(LASTS, gpu=True, internet=False, seconds=900) as kernel:
        process = found._api._process
        assert process
        monkeypatch.setattr(process, "requests", Interrupting(process.requests))
        found.follow(kernel, 1)
    assert len(kernels.pushed) == 1
    assert not kernels.kernels
    assert not [*(tmp_path / "kaggle").glob("*.json")]


def test_a_session_in_use_is_not_ended(kernels: KernelsServer, tmp_path: Path) -> None:
    command = started(tmp_path / "kaggle", LASTS)
    until(kernels.running_sessions)
    found = sessions(tmp_path / "kaggle")
    found.end_abandoned()
    assert kernels.running_sessions()
    with pytest.raises(UserError, match="another command of this project uses Kaggle's machines"), found.alone():
        pass
    command.send_signal(signal.SIGTERM)
    said, _ = command.communicate(timeout=60)
    assert not kernels.kernels, said
