"""Commands in processes of their own that are interrupted, killed, or left by who reads them."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toys import Digits, digits_command, write_toy_files

pytestmark = pytest.mark.slow

# fits of hours beside fits of moments
LONG = tuple(
    f"baseline.models.small.{name}={value}"
    for name, value in {
        "hidden_layer_sizes": "[128]",
        "batch_size": 180,
        "max_iter": 10**6,
        "n_iter_no_change": 10**6,
        "learning_rate_init": 1e-6,
    }.items()
)
APART = 0.7  # seconds between two interruptions


@pytest.fixture
def toy(workspace: Path) -> Path:
    """A workspace with the toy competition's files in data/raw."""
    write_toy_files(workspace / "data" / "raw")
    return workspace


def started(workspace: Path, *arguments: str, also: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        digits_command(*arguments, also=also),
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(happened: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [row[-1] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


def unfinished(workspace: Path) -> list[Path]:
    """Files and folders under temporary names."""
    return [path for path in workspace.rglob(".*-*") if path.is_file() or path.is_dir()]


def one_baseline(workspace: Path) -> list[Path]:
    return [*(workspace / "runs").glob("nearest-*/fold-*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_says_what_there_is_and_leaves_no_process(number: signal.Signals, toy: Path) -> None:
    """Ctrl-C and a closed terminal reach the whole group, `kill` the command alone."""
    process = started(toy, "baseline", "--workers", "2", also=LONG)
    wait_for(lambda: one_baseline(toy))
    (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    finished = len(one_baseline(toy))
    assert told == (
        f"error: interrupted; {finished} of 6 fits are finished, and the same command continues from there\n"
    )
    assert "Traceback" not in shown
    wait_for(lambda: not running(process.pid))
    assert unfinished(toy) == []


def test_fits_end_with_a_command_that_is_killed(toy: Path) -> None:
    process = started(toy, "baseline", "--workers", "2", also=LONG)
    wait_for(lambda: one_baseline(toy))
    process.kill()
    process.communicate()
    wait_for(lambda: not running(process.pid))


@pytest.mark.parametrize("seed", range(3))
def test_an_interruption_at_any_moment_is_no_traceback(seed: int, toy: Path) -> None:
    """Also while Python or a subprocess is only starting."""
    moment = random.Random(seed).uniform(0.1, 4)
    process = started(toy, "baseline", "--workers", "2", also=LONG)
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGINT)
    shown, told = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), f"after {moment:.2f} s: {told}"
    assert "Traceback" not in shown + told
    assert len(told.splitlines()) <= 1, told
    wait_for(lambda: not running(process.pid))
    assert unfinished(toy) == []


def test_the_second_interruption_ends_a_search_at_once_and_it_goes_on_later(toy: Path, digits: Digits) -> None:
    also = ("tune.model=small", "tune.workers=2", "tune.space={}")
    process = started(toy, "tune", also=also)
    wait_for(lambda: [*(toy / "runs").glob("tune/small-*/study.db")])
    time.sleep(APART)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(APART)
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - begun < 10
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in told
    wait_for(lambda: not running(process.pid))
    again = digits("tune", also=also)
    assert again.returncode == 0, again.stderr
    assert re.search(r"\b[2-4] trials; ", again.stdout), "a draw that repeats another one is not counted"


def test_a_closed_pipe_ends_a_command_without_a_word(toy: Path) -> None:
    """As `| head` closes it."""
    process = started(toy, "baseline", "--workers", "2", also=LONG)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    wait_for(lambda: not running(process.pid))


def test_a_closed_terminal_is_an_interruption(toy: Path) -> None:
    """What it says goes nowhere, and is no reason to fail."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)  # the first terminal that the leader of a session opens is the session's own
    command = ["sh", "-c", f'exec "$@" > {name} 2>&1 < {name}', "sh", *digits_command("baseline", also=LONG)]
    process = subprocess.Popen(command, cwd=toy, start_new_session=True)
    wait_for(lambda: one_baseline(toy) or process.poll() is not None)
    os.close(theirs)
    os.close(ours)
    assert process.wait(60) == 128 + signal.SIGHUP
    wait_for(lambda: not running(process.pid))
