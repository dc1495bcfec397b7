"""Disks that are full or cannot be written: seen before the work where that is possible, and said in a line."""

import errno
import os
import shlex
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryFile

from digits.common.errors import DiskError

_ROOM = "make room (make clean-runs removes the runs that nothing uses), then type the same command"
_READ_ONLY = "make its disk writable, or copy the project to another one, then type the same command there"
_NO_FOLDER = "it is no folder: rename or remove it, then type the same command"
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "database or disk is full")  # the last is SQLite's
_REMEDIES = {**dict.fromkeys(_FULL, _ROOM), os.strerror(errno.EROFS): _READ_ONLY}


def is_full(error: Exception) -> bool:
    """Whether an error, of whatever library, says that the disk is full or a quota is used up."""
    return any(text in str(error) for text in _FULL)


def refusal(error: Exception, path: Path | None = None) -> DiskError | None:
    """The error for the user where a disk is full or may not be used, None if `error` says something else.

    Libraries word their errors in their own way, but quote the system's. path: the file, by default the one that the
    error names.
    """
    place = path or getattr(error, "filename", None) or "a file"
    for text, remedy in _REMEDIES.items():
        if text in str(error):
            return DiskError(f"{place}: cannot be written: {text}; {remedy}")
    if isinstance(error, PermissionError) and error.filename:
        closed = shlex.quote(str(_to_open(Path(place).absolute())))
        remedy = f"type: sudo chown -R $USER {closed}; chmod -R u+rwX {closed}; then the same command"
        return DiskError(f"{place}: {error.strerror}; {remedy}")
    return None


def check_writable(folder: Path) -> None:
    """Raise DiskError if no file can be made in a folder, or in the one where it would be made."""
    try:
        TemporaryFile(dir=_existing(folder)).close()
    except OSError as error:
        if not is_full(error):  # which clean-runs can change
            raise refusal(error, folder) or DiskError(f"{folder}: {error.strerror}; {_NO_FOLDER}") from None


def check_room(folder: Path, needed: float, what: str) -> None:
    """Raise DiskError if a folder's disk has less than `needed` bytes. what: needs them, in words, in the plural."""
    usage = disk_usage(_existing(folder))
    if usage.total and needed > usage.free:  # some file systems do not tell their size
        room = f"{what} need {needed / 1e6:,.3g} MB, but {usage.free / 1e6:,.3g} MB are free"
        raise DiskError(f"{folder}: cannot be written: {_FULL[0]}: {room}; {_ROOM}")


def _existing(path: Path) -> Path:
    """A path, or the innermost folder on it that exists; a link that leads nowhere does."""
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))


def _to_open(path: Path) -> Path:
    """What must change its owner, so that an absolute path can be used: of the project all of runs/, data/ etc."""
    here, found = Path.cwd(), _existing(path)
    return here / found.relative_to(here).parts[0] if here in found.parents else found
