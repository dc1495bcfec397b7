"""Atomic writes of files and folders, hashes of their content, and locks between processes.

Everything is written under a temporary name in the target's folder, flushed to disk and renamed. So a process that is
killed leaves either the old content or the new content.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from digits.common.disk import is_full, refusal
from digits.common.errors import UserError

_SILENT = 1.0  # seconds of waiting for a lock before the wait is shown
# what file systems answer, network file systems above all, if they do not have an operation
_NOT_SUPPORTED = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}")  # as tempfile and `remove_folder` name them
FINGERPRINT_LENGTH = 12  # hex digits, 48 bits: a collision among a million runs has a probability of 0.2 %


def fingerprint(value: Any) -> str:
    """Short SHA-256 of a JSON-like value; the order of keys does not matter. Raises ValueError for nan and infinity."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace the file `path` by `content` (text as UTF-8, line ends unchanged); creates its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with _naming_full_disk(path):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                _if_supported(os.fsync, file.fileno())
            _if_supported(Path(temporary).chmod, 0o644)  # mkstemp makes files that only their owner can read
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the block it is flushed to disk and renamed to `target`.

    If `target` exists by then, it is kept and the new folder is removed: a folder's name follows from what decides its
    content, so another process has made the same folder. After an exception, nothing of the new folder remains.
    """
    with _naming_full_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            yield temporary
            _if_supported(temporary.chmod, 0o755)
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as opened:
                        _if_supported(os.fsync, opened.fileno())
            _sync_folder(temporary)
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder or a file; other processes see it complete or not at all."""
    doomed = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")  # a new folder might find no room
    with suppress(FileNotFoundError):  # another command has removed it
        folder.rename(doomed)
        doomed.unlink() if doomed.is_file() else shutil.rmtree(doomed, ignore_errors=True)


def hidden(folder: Path) -> list[Path]:
    """Hidden files and folders, at any depth, the innermost first; another command may remove some meanwhile."""
    below = os.walk(folder, topdown=False)  # `rglob` would fail then
    return [Path(top, name) for top, inner, names in below for name in (*names, *inner) if name.startswith(".")]


def sweep(runs: Path, folders: Sequence[Path]) -> None:
    """Remove the temporary files that killed commands have left below some folders, unless a command is using `runs`.

    Where the file system has no locks, nothing is removed: a command on another machine might be writing.
    """
    lock = runs / ".lock"
    if not runs.is_dir() or lock_file(lock) != lock:
        return
    with suppress(UserError), in_use(runs, alone=True):
        for path in (path for folder in folders for path in hidden(folder)):
            if _TEMPORARY.fullmatch(path.name):
                remove_folder(path)


@contextmanager
def _naming_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise refusal(error, path) or error from None
        raise


def lock_file(path: Path) -> Path:
    """The path of a lock: this one, or one in this machine's temporary folder if the file system has no locks.

    Then commands on this machine still wait for each other, but not for those on other machines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                return Path(tempfile.gettempdir()) / f"digits-{os.getuid()}-{fingerprint(str(path.resolve()))}.lock"
    return path


@contextmanager
def in_use(folder: Path, alone: bool = False) -> Iterator[None]:
    """Hold a shared lock on a folder that this process uses; `alone`: an exclusive one.

    The system releases the lock of a process that ends. Raises UserError if an exclusive lock is not available.
    """
    with lock_file(folder / ".lock").open("a+") as file:  # NFS shares locks of files that can be read
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            raise UserError(f"another command is using {folder}; type the same command again when it ends") from None
        yield


@contextmanager
def exclusive(
    lock: Path, timeout: float, message: str, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Hold a lock file that only one process at a time can hold; raises UserError(message) after `timeout` seconds.

    waiting: a context for waits of more than a second. The system releases the lock of a process that ends.
    """
    held = FileLock(lock_file(lock))
    try:
        try:
            held.acquire(timeout=min(timeout, _SILENT))
        except Timeout:
            with waiting():
                held.acquire(timeout=max(0.0, timeout - _SILENT))
    except Timeout:
        raise UserError(message) from None
    try:
        yield
    finally:
        held.release()


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _if_supported(os.fsync, handle)
    finally:
        os.close(handle)


def _if_supported(operation: Callable[[int], object], argument: int) -> None:
    """Go on if the file system does not have the operation."""
    try:
        operation(argument)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
