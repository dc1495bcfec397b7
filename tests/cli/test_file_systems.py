"""Whole commands on file systems that lack something: most are emulated by a library between Python and the system."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from digits.common.console import Console
from digits.common.errors import DiskError
from digits.kaggle.api import CompetitionApi
from kaggle_server import Fault, KaggleServer
from toys import QUICK, Digits, digits_command, tree, write_toy_files

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="what is emulated is Linux")]

# Below $ROOT: no locks, no flushing of folders, no modes, no hard links; and no room for units while $FULL exists.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static int below(const char *path) { return strncmp(path, getenv("ROOT"), strlen(getenv("ROOT"))) == 0; }
static int inside(int handle, const char *part) {
    char link[64], path[4096];
    sprintf(link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path) && strstr(path, part) != NULL;
}
static int fails(int number) { errno = number; return -1; }
static int full(int handle) { return access(getenv("FULL"), F_OK) == 0 && inside(handle, "/.fold-"); }
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))
int flock(int handle, int operation) { return inside(handle, "") ? fails(ENOLCK) : REAL(flock)(handle, operation); }
int fsync(int handle) {
    struct stat status;
    int folder = fstat(handle, &status) == 0 && S_ISDIR(status.st_mode);
    return folder && inside(handle, "") ? fails(EINVAL) : REAL(fsync)(handle);
}
int chmod(const char *path, mode_t mode) { return below(path) ? fails(EPERM) : REAL(chmod)(path, mode); }
int link(const char *from, const char *to) { return below(to) ? fails(EPERM) : REAL(link)(from, to); }
ssize_t write(int handle, const void *data, size_t size) {
    return full(handle) ? fails(EDQUOT) : REAL(write)(handle, data, size);
}
ssize_t pwrite(int handle, const void *data, size_t size, off_t at) {
    return full(handle) ? fails(EDQUOT) : REAL(pwrite)(handle, data, size, at);
}
ssize_t pwrite64(int handle, const void *data, size_t size, off64_t at) {
    return full(handle) ? fails(EDQUOT) : REAL(pwrite64)(handle, data, size, at);
}
"""


@pytest.fixture
def toy(workspace: Path) -> Path:
    """A workspace with the toy competition's files in data/raw."""
    write_toy_files(workspace / "data" / "raw")
    return workspace


@pytest.fixture
def poor(toy: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that sees the workspace on a poor file system."""
    if not shutil.which("gcc"):
        pytest.skip("the library cannot be built without gcc")
    library = tmp_path / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, "-x", "c", "-"], input=SHIM, text=True, check=True)
    own = {"LD_PRELOAD": str(library), "ROOT": str(toy), "FULL": str(tmp_path / "full"), "HOME": str(toy)}
    return {**os.environ, **own}


def mounted(*words: str | Path) -> None:
    """Mount something. Skips the test where that is not allowed."""
    if subprocess.run(["mount", *words], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: it takes root, or a container that may")


@pytest.fixture
def small_disk(toy: Path) -> Iterator[Path]:
    """The folder runs/, as a disk of 4 MiB."""
    runs = toy / "runs"
    kept = {path.name: path.read_bytes() for path in (runs / "machines").iterdir() if path.is_file()}
    mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", runs)
    (runs / "machines").mkdir()
    for name, content in kept.items():
        (runs / "machines" / name).write_bytes(content)
    yield runs
    subprocess.run(["umount", "--lazy", runs], check=True)


@pytest.fixture
def read_only(toy: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a folder of the workspace a disk that cannot be written."""
    folders = []

    def mount(name: str) -> Path:
        (folder := toy / name).mkdir(exist_ok=True)
        mounted("--bind", folder, folder)
        folders.append(folder)
        mounted("-o", "remount,ro,bind", folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, file: Path, left: int) -> None:
    """Write a file that leaves so many bytes of the disk."""
    file.parent.mkdir(exist_ok=True)
    status = os.statvfs(disk)
    file.write_bytes(b"1" * (status.f_bavail * status.f_frsize - left))
    assert os.statvfs(disk).f_bavail * status.f_frsize <= left


def rescued(command: subprocess.Popen[str], full: Path) -> str:
    """What a command writes to standard error, which finds room once it has said that it cannot save a fit."""
    said: list[str] = []

    def listen() -> None:
        assert command.stderr
        for line in command.stderr:
            said.append(line)
            if "a finished fit is not saved yet, and is lost in 10 minutes" in line:
                full.unlink(missing_ok=True)

    listener = threading.Thread(target=listen)
    listener.start()
    command.wait(600)
    listener.join()
    assert not full.exists(), said
    return "".join(said)


def test_a_submission_is_made_without_locks_modes_and_flushed_folders_once_the_quota_has_room(
    toy: Path, poor: dict[str, str]
) -> None:
    """A finished network waits for the room."""
    full = Path(poor["FULL"])
    full.touch()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        digits_command("submit"), cwd=toy, env=poor, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as command:
        said = rescued(command, full)
        assert command.stdout
        shown = command.stdout.read()
    assert command.returncode == 0, said
    assert "/fold-0: cannot be written: Disk quota exceeded; make room" in said
    assert [path.name for path in toy.glob("runs/cnn-*/fold-*")] == ["fold-0"]
    assert "this file system has no locks; use this folder on one computer at a time" in shown
    assert len([*(toy / "submissions").glob("toy-*.csv")]) == 1
    names = [str(path).lower() for path in toy.rglob("*")]
    assert len({*names}) == len(names), "there are file systems that ignore capitals"
    removed = subprocess.run(
        digits_command("clean-runs", "--only", "cnn-*", "--force"),
        check=False,
        cwd=toy,
        env=poor,
        capture_output=True,
        text=True,
    )
    assert removed.returncode == 0, removed.stderr
    assert not [*(toy / "runs").glob("cnn-*")]


def test_a_full_disk_loses_no_finished_baseline(toy: Path, small_disk: Path, digits: Digits) -> None:
    """On a real disk."""
    assert digits("data").returncode == 0
    fill(small_disk, small_disk / "ballast", left=20_480)  # room for run.json and log.txt
    pipe = subprocess.PIPE
    with subprocess.Popen(
        digits_command("baseline", "--workers", "1"), cwd=toy, stdout=pipe, stderr=pipe, text=True
    ) as command:
        said = rescued(command, small_disk / "ballast")
    assert command.returncode == 0, said
    assert "cannot be written: No space left on device; make room" in said
    assert len([*small_disk.glob("*/fold-*")]) == 6


def test_what_finds_no_room_anywhere_is_named_too(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/a-file")

    monkeypatch.setattr("digits.cli.main._context", fails)
    shown = digits("baseline")
    assert shown.returncode == 2
    assert shown.stderr.startswith("error: /tmp/a-file: cannot be written: No space left on device; make room")


def test_a_disk_that_is_full_from_the_start_is_said_to_be_and_can_be_cleaned(
    toy: Path, small_disk: Path, digits: Digits
) -> None:
    """On a real disk; the command that is advised works there."""
    assert digits("data").returncode == 0
    fill(small_disk, small_disk / "old" / "ballast", left=0)
    started = time.monotonic()
    for command in ("baseline", "train"):
        shown = digits(command)
        assert shown.returncode == 2
        [line] = shown.stderr.splitlines()
        assert line.startswith(
            f"error: {small_disk}: cannot be written: No space left on device: the probabilities of "
        )
        assert " MB are free; make room (make clean-runs removes" in line
    assert time.monotonic() - started < 300
    assert digits("clean-runs", "--only", "old", "--force").returncode == 0
    assert digits("baseline").returncode == 0


def test_a_search_whose_database_finds_no_room_goes_on_once_there_is_some(
    toy: Path, small_disk: Path, digits: Digits
) -> None:
    """On a real disk."""
    also = ("tune.model=small", "tune.workers=1", "tune.space={}", "tune.n_trials=1")
    assert digits("data").returncode == 0
    fill(small_disk, small_disk / "ballast", left=49_152)
    shown = digits("tune", also=also)
    assert shown.returncode == 2
    [line] = shown.stderr.splitlines()
    assert "/study.db: cannot be written: database or disk is full; make room (make clean-runs removes" in line
    (small_disk / "ballast").unlink()
    assert digits("tune", also=also).returncode == 0


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("runs", ("data", "submit", "baseline", "tune", "report", "clean-runs")),
        ("data", ("data", "submit", "baseline", "tune")),
        ("submissions", ("submit", "score")),
        ("reports", ("submit", "baseline", "tune", "report")),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_fit(
    name: str, commands: tuple[str, ...], toy: Path, read_only: Callable[[str], Path], digits: Digits
) -> None:
    """On real disks."""
    folder = read_only(name)
    before = {*tree(toy)}
    for command in commands:
        shown = digits(command)
        assert shown.returncode == 2, command
        [line] = shown.stderr.splitlines()
        assert line.startswith(f"error: {folder}")
        assert (
            "cannot be written: Read-only file system; make its disk writable, or copy the project to another" in line
        )
        assert not [*toy.glob("runs/*-*")], command
    assert {each for each in {*tree(toy)} - before if not each.startswith(("data/processed/", "runs/.lock"))} == set()


def test_data_that_are_complete_need_not_be_writable(
    toy: Path, read_only: Callable[[str], Path], digits: Digits
) -> None:
    """On a real disk: as where a class shares one folder."""
    assert digits("data").returncode == 0
    read_only("data")
    assert digits("baseline").returncode == 0


@pytest.mark.parametrize("packed", [True, False])
def test_files_that_find_no_room_are_refused_before_they_are_unpacked_and_find_it_later(
    packed: bool, toy: Path, tmp_path: Path, digits: Digits
) -> None:
    """On a real disk."""
    write_toy_files(tmp_path / "many", train_rows=9000)
    named = tmp_path / "many"
    if packed:
        named = Path(shutil.make_archive(str(tmp_path / "many"), "zip", tmp_path / "many"))
    mounted("-t", "tmpfs", "-o", "size=3m", "tmpfs", toy / "data")
    try:
        also = ("competition.train_rows=null",)
        shown = digits("data", "--data", str(named), also=also)
        assert shown.returncode == 2
        [line] = shown.stderr.splitlines()
        assert "/data/raw/copies: cannot be written: No space left on device: the files of many" in line
        assert [*(toy / "data").rglob("*")] == []
        subprocess.run(["mount", "-o", "remount,size=20m", toy / "data"], check=True)
        assert digits("data", "--data", str(named), also=also).returncode == 0
    finally:
        subprocess.run(["umount", "--lazy", toy / "data"], check=True)


def test_an_archive_that_finds_no_room_is_refused_with_its_size_and_goes_on_later(
    server: KaggleServer, tmp_path: Path
) -> None:
    """On a real disk."""
    server.archive = os.urandom(1_500_000)
    server.faults["toy.zip"] = [Fault("hang", seconds=3600)]  # in the middle, and its size is known
    (folder := tmp_path / "there").mkdir()
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    try:
        with pytest.raises(DiskError, match=r"/there: cannot be .* files need .* MB, but .* MB are free; make room"):
            CompetitionApi("toy", QUICK, Console(plain=True)).download(folder)
        subprocess.run(["mount", "-o", "remount,size=2m", folder], check=True)
        assert CompetitionApi("toy", QUICK, Console(plain=True)).download(folder).read_bytes() == server.archive
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
