"""Files are whole or absent; fingerprints tell equal content from different content."""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.errors import DiskError, UserError
from digits.common.files import (
    atomic_folder,
    exclusive,
    fingerprint,
    in_use,
    lock_file,
    remove_folder,
    sweep,
    write_atomic,
)
from digits.common.sealed import read_json, write_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=6))
def test_fingerprint_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@pytest.mark.parametrize("other", [{"a": 1, "b": [1, 3]}, {"a": 1}, {"a": 1, "b": [2, 1]}, {"a": True, "b": [1, 2]}])
def test_fingerprint_sees_every_difference(other: object) -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint(other)


def test_fingerprint_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))


def test_write_atomic_keeps_the_old_content_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "file.json", {"a": [1, None]})
    assert read_json(tmp_path / "deep" / "file.json") == {"a": [1, None]}
    assert read_json(tmp_path / "absent.json") is None


def test_atomic_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "unit"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"

    def fail(target: Path) -> None:
        with atomic_folder(target) as folder:
            (folder / "a").write_text("2")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail(tmp_path / "other")
    assert list(tmp_path.iterdir()) == [target]


def test_the_first_of_two_that_make_the_same_folder_wins(tmp_path: Path) -> None:
    target = tmp_path / "unit"
    with atomic_folder(target) as second:
        (second / "a").write_text("second")
        with atomic_folder(target) as first:
            (first / "a").write_text("first")
    assert (target / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def raising(number: int) -> Callable[..., Any]:
    """What a system call is replaced by."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


# The file systems are emulated: the calls give the answers that they would give there.
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_file_and_what_to_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_text("old")
    monkeypatch.setattr("os.fsync", raising(number))
    named = (
        rf"cannot be written: {os.strerror(number)}; make room \(make clean-runs removes .*, then type the same command"
    )
    with pytest.raises(DiskError, match=f"/kept: {named}"):
        write_atomic(tmp_path / "kept", "new")
    with pytest.raises(DiskError, match=f"/unit: {named}"), atomic_folder(tmp_path / "unit") as folder:
        write_atomic(folder / "metrics.json", "1")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_file_system_need_not_flush_folders_or_change_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr(Path, "chmod", raising(errno.EPERM))
    write_atomic(tmp_path / "file", "1")
    with atomic_folder(tmp_path / "unit") as folder:
        write_atomic(folder / "file", "2")
    assert [(tmp_path / name).read_text() for name in ("file", "unit/file")] == ["1", "2"]
    monkeypatch.setattr("os.fsync", raising(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        write_atomic(tmp_path / "file", "3")


def test_a_full_disk_can_be_made_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights").write_text("some")
    (tmp_path / "file").write_text("some")
    monkeypatch.setattr("os.mkdir", raising(errno.ENOSPC))
    for name in ("run", "file", "what another command has removed"):
        remove_folder(tmp_path / name)
    assert [*tmp_path.iterdir()] == []


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL], ids=errno.errorcode.__getitem__)
def without_locks(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a file system without locks; the temporary folder has some."""
    real, folder = fcntl.flock, tmp_path / "network"

    def flock(file: Any, operation: int) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        if Path(f"/proc/self/fd/{handle}").resolve().is_relative_to(folder):
            raise OSError(request.param, os.strerror(request.param))
        real(handle, operation)

    folder.mkdir()
    (tmp_path / "local").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "local"))
    monkeypatch.setattr("fcntl.flock", flock)
    return folder


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the path of a handle is read from Linux' /proc")
def test_without_locks_commands_of_one_machine_wait_for_each_other(without_locks: Path) -> None:
    lock = without_locks / ".lock"
    assert lock_file(lock) == lock_file(without_locks / "more" / ".." / ".lock") != lock
    others = [lock_file(path) for path in (without_locks / ".other", without_locks / "more" / ".lock")]
    assert len({lock, lock_file(lock), *others}) == 4
    with (
        in_use(without_locks),
        in_use(without_locks),
        pytest.raises(UserError, match="another command is using"),
        in_use(without_locks, alone=True),
    ):
        pass
    with exclusive(lock, 5, "busy"), ThreadPoolExecutor(1) as pool:

        def second() -> None:
            with exclusive(lock, 0.2, "the other one is busy"):
                pass

        with pytest.raises(UserError, match="the other one is busy"):
            pool.submit(second).result()
    with exclusive(lock, 5, "busy"):
        pass


def test_locks_of_nfs_need_files_that_can_be_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a shared lock needs a file that is open for reading, an exclusive one a file that is open for writing."""
    real, asked = fcntl.flock, list[int]()

    def flock(file: Any, operation: int) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        mode, shared = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE, bool(operation & fcntl.LOCK_SH)
        assert mode != (os.O_WRONLY if shared else os.O_RDONLY), "Bad file descriptor"
        asked.append(operation)
        real(handle, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    for alone in (False, True):
        with in_use(tmp_path, alone=alone):
            pass
    with exclusive(tmp_path / ".another", 5, "busy"):
        pass
    assert lock_file(tmp_path / ".lock") == tmp_path / ".lock"
    assert asked


def test_what_killed_commands_have_left_is_removed_once_nobody_works(tmp_path: Path) -> None:
    """By its name; what others keep under hidden names stays."""
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    stays = (".lock", ".damaged-fold-0-abc123", ".ledger.json", ".DS_Store", ".partial", "fold-0-abcdef12")
    for folder in (runs / "cnn-1", reports):
        folder.mkdir(parents=True)
        for name in stays:
            (folder / name).touch()
        write_atomic(folder / "kept", "some")
    left = (runs / "cnn-1" / ".fold-0-abcd_f12", runs / ".cnn-2-12345678", reports / ".index.html-k2l3m4n5")
    for path in left:
        path.mkdir()
        (path / ".inner-12345678").touch()
    with in_use(runs):
        sweep(runs, (runs, reports))
        assert all(path.exists() for path in left)
    sweep(runs, (runs, reports))
    assert not any(path.exists() for path in left)
    found = {path.name for path in (*(runs / "cnn-1").iterdir(), *reports.iterdir())}
    assert found == {*stays, "kept"}
