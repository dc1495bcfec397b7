"""Disks that are full, read-only or somebody else's are seen beforehand, and said with what helps."""

import errno
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import pytest

from digits.common.disk import check_room, check_writable, refusal
from digits.common.errors import DiskError

NOBODY = 65534  # a user id


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that this process may read, and not write: where it is root, it is another user meanwhile."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        yield Path(folder)
        if root:
            os.seteuid(0)
        Path(folder).chmod(0o755)


def test_what_may_not_be_written_is_seen_and_the_remedy_names_what_exists(closed: Path) -> None:
    for folder in (closed, closed / "runs" / "deep"):
        with pytest.raises(DiskError) as caught:
            check_writable(folder)
        place, command = str(caught.value).split(": Permission denied; type: ")
        assert place == str(folder)
        assert shlex.split(command)[:5] == ["sudo", "chown", "-R", "$USER", f"{closed};"]


def test_one_command_opens_all_of_a_folder_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = str(refusal(PermissionError(errno.EACCES, "Permission denied", "runs")))
    assert f"type: sudo chown -R $USER {tmp_path};" in said, "it is the project that must be opened"
    (tmp_path / "my runs").mkdir()
    for file in (tmp_path / "my runs" / "cnn-1" / "log.txt", Path("my runs")):
        said = str(refusal(PermissionError(errno.EACCES, "Permission denied", str(file))))
        folder = shlex.quote(str(tmp_path / "my runs"))
        assert said.startswith(
            f"{file}: Permission denied; type: sudo chown -R $USER {folder}; chmod -R u+rwX {folder}; "
        )


def test_what_can_be_written_stays_as_it_is(tmp_path: Path) -> None:
    check_writable(tmp_path)
    check_writable(tmp_path / "not yet" / "there")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_way_of_a_folder_is_named(kind: str, tmp_path: Path) -> None:
    way = tmp_path / "runs"
    way.touch() if kind == "file" else way.symlink_to(tmp_path / "away")
    with pytest.raises(DiskError, match=f"{way}: .*; it is no folder: rename or remove it"):
        check_writable(way)


def test_room_is_that_of_the_disk(tmp_path: Path) -> None:
    free = disk_usage(tmp_path).free
    check_room(tmp_path / "not yet", free / 2, "the files")
    named = (
        rf"/not yet: cannot be written: {os.strerror(errno.ENOSPC)}: the files need .* MB, but .* MB are free; make r"
    )
    with pytest.raises(DiskError, match=named):
        check_room(tmp_path / "not yet", free * 2, "the files")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_libraries_word_what_the_system_says_in_their_own_way(number: int) -> None:
    said = RuntimeError(f"file write failed: error message = '{os.strerror(number)}', buf = 0x1")
    assert str(refusal(said, Path("weights.h5"))).startswith(f"weights.h5: cannot be written: {os.strerror(number)}; ")
    assert str(refusal(OSError(number, os.strerror(number), "a.csv"))).startswith("a.csv: cannot be written: ")


def test_other_errors_are_not_the_disks() -> None:
    for error in (FileNotFoundError(2, "No such file or directory", "a.csv"), KeyError("a"), PermissionError(13, "no")):
        assert refusal(error) is None
