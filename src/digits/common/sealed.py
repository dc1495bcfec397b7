"""Files and folders that show whether they are what was written.

A JSON file contains the hash of its values, a folder a manifest with the hash of each of its files. What is damaged is
kept under another name and the user is told. To the caller it is missing, so it is made again, with what depends on it.
"""

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from digits.common.errors import DiskError
from digits.common.files import atomic_folder, exclusive, file_sha256, write_atomic
from digits.common.logs import log

DAMAGED = ".damaged-"  # start of the names of what is set aside
_CHECKSUM = "checksum"  # key of a JSON file
MANIFEST = "manifest.json"  # of a folder
_MAKING = 900.0  # longest wait for another process, in seconds
_SAVING = 600.0  # seconds of attempts to save what took long to compute
_PAUSE = 5.0  # seconds between two of them


def checksum(value: Any) -> str:
    """SHA-256, in hex, of a value as JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file `path` by `value` and its checksum, as indented JSON."""
    write_atomic(path, json.dumps({**value, _CHECKSUM: checksum(value)}, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The value that `write_json` has written; None if there is no such file, or if it is damaged and set aside.

    Files without a checksum, of older versions or of others, are passed over.
    """
    value, fault = _parsed(path)
    if fault:
        set_aside(path, fault)
    return value


def _parsed(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The value of a JSON file, and what is wrong with it; neither if it is none of ours."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None, ""
    except ValueError:
        return None, "it is not JSON"
    if not isinstance(content, dict) or _CHECKSUM not in content:
        return None, ""
    if content.pop(_CHECKSUM) != checksum(content):
        return None, "its values are not those that were written"
    return content, ""


def read_or_make(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Value of a JSON file. If there is no such file, `make` is called and its value is written to the file.

    Only one process at a time does this in a folder. The others wait for it, so that all of them use the same value.
    """
    if (known := read_json(path)) is None:
        with exclusive(
            path.parent / ".lock", _MAKING, f"{path}: another command is making it; type the same command again later"
        ):
            if (known := read_json(path)) is None:
                known = make()
                write_json(path, known)
    return known


@contextmanager
def sealed_folder(target: Path) -> Iterator[Path]:
    """As `files.atomic_folder`; the folder gets a manifest, so that `intact` can check it."""
    with atomic_folder(target) as folder:
        yield folder
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        sums = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        write_json(folder / MANIFEST, {"sha256": sums})


def save_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """`sealed_folder`, filled by fill(folder): for a finished fit, which a full or absent disk shall not lose.

    If it cannot be written, the user is told, and it is tried again for ten minutes. Raises DiskError in the end.
    """
    started, told = monotonic(), False
    while True:
        try:
            with sealed_folder(target) as folder:
                fill(folder)
            return
        except (OSError, DiskError) as error:
            if monotonic() - started > _SAVING:
                raise DiskError(f"a finished fit could not be saved and is lost: {error}") from None
            if not told:
                minutes = f"{_SAVING / 60:.0f} minutes"
                print(f"\na finished fit is not saved yet, and is lost in {minutes}: {error}", file=sys.stderr)
            told = True
        sleep(_PAUSE)


def intact(folder: Path, consequence: str = "is made again") -> bool:
    """Whether a folder exists and contains what `sealed_folder` has written; if it is damaged, it is set aside.

    All files of the manifest are read. Files that were added later are not looked at. consequence: for the message.
    """
    if not folder.is_dir():
        return False
    if found := fault(folder):
        set_aside(folder, found, consequence)
    return not found


def sums(folder: Path) -> dict[str, str] | None:
    """SHA-256 of each file of a sealed folder when it was whole, by its path there; None if that is not known."""
    manifest, _ = _parsed(folder / MANIFEST)
    return None if manifest is None else manifest["sha256"]


def fault(folder: Path) -> str:
    """What is wrong with a sealed folder; "" if nothing is."""
    manifest, unreadable = _parsed(folder / MANIFEST)
    if manifest is None:
        return f"{MANIFEST}: {unreadable or 'it is missing, as in unfinished folders and those of older versions'}"
    for name, known in manifest["sha256"].items():
        try:
            if file_sha256(folder / name) != known:
                return f"{name} is not what was written"
        except FileNotFoundError:
            return f"{name} is missing"
    return ""


def set_aside(path: Path, fault: str, consequence: str = "is made again") -> None:
    """Rename a damaged file or folder, which `make clean-runs` removes, and tell the user.

    Raises DiskError if it cannot be renamed: under its name it would be taken for whole.
    """
    kept, name = path.with_name(f"{DAMAGED}{path.name}-{secrets.token_hex(3)}"), os.path.relpath(path)
    try:
        path.rename(kept)
    except FileNotFoundError:  # another command has done it
        return
    except OSError as error:
        raise DiskError(
            f"{name} is damaged: {fault}; it cannot be renamed: {error.strerror}; remove it, then type the same command"
        ) from None
    print(f"\n{name} is damaged: {fault}. It is kept as {kept.name}, and {consequence}", file=sys.stderr)
    log.warning("%s is damaged: %s", path, fault)
