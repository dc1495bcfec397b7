"""Killed at any moments, all commands end as if nothing had happened. `make soak ROUNDS=100` kills that often."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from digits.kaggle.ledger import Ledger
from toys import MINUTES, SMALL, digits_arguments, write_toy_files

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SOAK_KILLS", "3"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# how many refits there are is decided by the clock
PARAMS = (*SMALL, "train.epochs=10", "train.refits=0", MINUTES, "tune.model=small")
COMMANDS = ("baseline", "submit", "tune")
# what a fit writes that does not depend on the clock
SAME = ("probabilities.npz", "blend.json", "uncertain.png", "*.npy")


def start(command: str, folder: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    toy = "SOAK_KILLS" not in os.environ  # else the practice images
    data = [] if toy else ["--data=practice"]
    arguments = [sys.executable, "-m", "digits", *digits_arguments(command, *data, toy=toy, also=PARAMS)]
    return subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def kill(process: subprocess.Popen[str], alone: bool, generator: random.Random) -> None:
    """The process with all that it has started, or one of those alone."""
    workers = children(process.pid) if alone else []
    with suppress(ProcessLookupError):  # it has ended by itself
        if workers:
            os.kill(generator.choice(workers), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)


def children(process: int) -> list[int]:
    """Ids of the processes that a process has started, and of theirs."""
    try:
        tasks = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:
        return []
    own = [int(child) for found in tasks for child in found]
    return [*own, *(each for child in own for each in children(child))]


def results(folder: Path) -> dict[str, bytes]:
    """Content of the files that do not depend on the clock, and the submissions."""
    found = [path for pattern in SAME for part in ("runs", "data") for path in (folder / part).rglob(pattern)]
    found += [path for path in (folder / "submissions").glob("*.csv") if path.stem != "ledger"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def fits(folder: Path) -> dict[Path, int]:
    """When each finished fit was made."""
    return {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*-*/fold-*")}


def test_killed_at_any_moments_it_ends_the_same(workspace: Path, tmp_path: Path) -> None:
    print(f"SOAK_SEED={SEED}")
    undisturbed = tmp_path / "undisturbed"
    generator, seconds = random.Random(SEED), {}
    subprocess.run(["cp", "-r", str(workspace), str(undisturbed)], check=True)
    for folder in (workspace, undisturbed):
        write_toy_files(folder / "data" / "raw")
    for command in COMMANDS:
        started = time.monotonic()
        process = start(command, undisturbed)
        shown, _ = process.communicate()
        assert process.returncode == 0, shown
        seconds[command] = time.monotonic() - started
    kills, known = 0, dict[Path, int]()
    for number, command in enumerate(COMMANDS, start=1):
        span, ended = seconds[command], False
        while kills < KILLS * number / len(COMMANDS) or not ended:
            process = start(command, workspace)
            if kills < KILLS * number / len(COMMANDS):
                try:
                    process.wait(generator.uniform(0, span))
                    span /= 2  # it was done before: the next one, which finds what there is, is killed sooner
                except subprocess.TimeoutExpired:
                    kill(process, generator.random() < 0.3, generator)
                    kills += 1
            shown, _ = process.communicate()
            finished = fits(workspace)
            assert known.items() <= finished.items(), "a finished fit was lost, or made again"
            known = finished
            ended = process.returncode == 0
            assert ended or "Traceback" not in shown, shown
    assert results(workspace) == results(undisturbed)
    hidden = [path for part in ("runs", "data", "submissions") for path in (workspace / part).rglob(".*")]
    assert {path.name for path in hidden} <= {".lock", ".ledger.lock", ".submitting.lock", ".ledger.json"}
    assert [line["state"] for line in Ledger(workspace / "submissions" / "ledger.csv").lines()] == ["written"]
