"""The same commands at another time and in another place: a wrong clock, a moved folder, other letters, one core."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest

from toys import Digits, digits_command, tree, write_toy_files

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="what is emulated is Linux")]

# ten years earlier
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = REAL(clock_gettime)(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec -= 315360000;
    return failed;
}
time_t time(time_t *to) { time_t now = REAL(time)(0) - 315360000; if (to) *to = now; return now; }
"""
ASCII_ALONE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = "Größe 測試, 'a' $b 100%20 #1"  # the name of a folder


@pytest.fixture
def toy(workspace: Path) -> Path:
    """A workspace with the toy competition's files in data/raw."""
    write_toy_files(workspace / "data" / "raw")
    return workspace


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A library that sets the clock of a process back."""
    if not shutil.which("gcc"):
        pytest.skip("the library cannot be built without gcc")
    library = tmp_path / "clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, "-x", "c", "-"], input=CLOCK, text=True, check=True)
    return library


def results(folder: Path) -> dict[str, bytes]:
    """All that does not say how long it took, when, or in which folder."""
    names = ("run.json", "probabilities.npz", "history.jsonl", "blend.json", "model.weights.h5", ".npy")
    return {
        name: data for name, data in tree(folder).items() if name.endswith(names) or name.startswith("submissions/toy")
    }


def test_a_moved_folder_goes_on_whatever_the_clock_the_times_of_files_and_the_letters(
    toy: Path, tmp_path: Path, clock: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a home, with a mask that closes all files to others, and where the terminal has ASCII alone."""
    assert digits("submit").returncode == 0
    monkeypatch.undo()  # of the home
    before, random = results(toy), Random(1)
    for path in toy.rglob("*"):
        os.utime(path, (random.uniform(0, 4e9), random.uniform(0, 4e9)))
    place = toy.rename(tmp_path / ODD)
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | ASCII_ALONE

    def submit() -> str:
        shown = subprocess.run(
            digits_command("submit"),
            cwd=place,
            env=environment | {"LD_PRELOAD": str(clock)},
            stdin=subprocess.DEVNULL,
            umask=0o077,
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    assert "Nothing to do" in submit()
    assert results(place) == before
    for path in [*place.glob("runs/*-*"), *place.glob("data/processed/*"), *place.glob("submissions/toy*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "Nothing to do" not in submit()
    assert results(place) == before
    [log] = place.glob("runs/cnn-*/log.txt")
    assert datetime.fromisoformat(log.read_text()[:19]).year <= (datetime.now(UTC) - timedelta(days=3600)).year


def test_a_search_finds_its_database_in_a_folder_of_any_name(
    toy: Path, tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place := toy.rename(tmp_path / f"{ODD}?b"))
    shown = digits("tune", also=("tune.model=small", "tune.workers=1", "tune.space={}", "tune.n_trials=1"))
    assert shown.returncode == 0, shown.stderr
    assert len([*place.glob("runs/tune/small-*/study.db")]) == 1
    assert [path for path in tmp_path.iterdir() if path.name.startswith("Gr")] == [place]


def test_names_that_the_terminal_cannot_show_are_spelled(toy: Path) -> None:
    (toy / "mine.yaml").write_text("extends: params.yaml\ncompetition: {class_names: [ä, 測, c]}\n", encoding="utf-8")
    shown = subprocess.run(
        digits_command("data", "--params", "mine.yaml"),
        cwd=toy,
        env=os.environ | ASCII_ALONE,
        capture_output=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert rb"\xe4: 60  \u6e2c: 60  c: 60" in shown.stdout


def test_one_core_gives_the_same_bits(toy: Path, digits: Digits) -> None:
    """Of baselines, which use all cores otherwise; networks name their number of threads."""

    def probabilities() -> list[dict[str, np.ndarray]]:
        units = sorted(toy.glob("runs/small-*/fold-*"))
        found = [{**np.load(unit / "probabilities.npz")} for unit in units]
        shutil.rmtree(units[0].parent)
        return found

    assert digits("baseline", "--only", "small").returncode == 0
    first = probabilities()
    made = subprocess.run(
        digits_command("baseline", "--only", "small"),
        cwd=toy,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(os.sched_setaffinity, 0, {min(os.sched_getaffinity(0))}),
    )
    assert made.returncode == 0, made.stderr
    second = probabilities()
    assert len(first) == len(second) == 3
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
