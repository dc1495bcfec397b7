"""The Kaggle credentials on this computer, in the order in which Kaggle's client tries them.

The client passes over most files that it cannot use without a word. Here they are errors.
"""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from digits.common.errors import UserError

Method = Literal["ACCESS_TOKEN", "LEGACY_API_KEY", "OAUTH"]  # as the client calls them

_MAKE = "make a token at kaggle.com/settings/api and save it as"
NEW_TOKEN = f"{_MAKE} ~/.kaggle/access_token"
_VARIABLES = "KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY"


@dataclass(frozen=True)
class Credentials:
    """A token, a key or a login.

    where: a description for messages. file: the file that holds it, None for environment variables. secrets: texts that
    must never be printed.
    """

    method: Method
    where: str
    file: Path | None
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def remedy(self) -> str:
        """What the user can do if Kaggle does not accept these credentials."""
        return "type: .venv/bin/kaggle auth login" if self.method == "OAUTH" else NEW_TOKEN

    @property
    def exposed(self) -> bool:
        """Whether other users of this computer can read the file."""
        return self.file is not None and os.name != "nt" and bool(self.file.stat().st_mode & 0o077)


def credentials(environment: Mapping[str, str], home: Path) -> list[Credentials]:
    """All credentials. Raises UserError if there are faulty ones, and none that the client tries before them."""
    if not os.access(home, os.X_OK):
        home = Path(os.devnull)  # nothing in it can be read, as in containers
    found: list[Credentials] = []
    for look in (_tokens, _keys, _login):
        try:
            found += look(environment, home)
        except UserError:
            if not found:
                raise
    if not found and (fault := next(_misplaced(environment, home), "")):
        raise UserError(fault)
    return found


def has_folders(environment: Mapping[str, str], home: Path) -> bool:
    """Whether the client can read the home and has its folder, which is made here if it can be."""
    if not os.access(home, os.X_OK):
        return False
    with suppress(OSError):
        config_folder(environment, home).mkdir(parents=True, exist_ok=True)
    return os.access(config_folder(environment, home), os.F_OK)


def config_folder(environment: Mapping[str, str], home: Path) -> Path:
    """The folder of kaggle.json; the client makes it when it is imported."""
    if named := environment.get("KAGGLE_CONFIG_DIR"):
        return Path(named)
    usual, linux = home / ".kaggle", sys.platform.startswith("linux")
    return _xdg_folder(environment, home) if linux and not os.access(usual, os.F_OK) else usual


def _xdg_folder(environment: Mapping[str, str], home: Path) -> Path:
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"


def _tokens(environment: Mapping[str, str], home: Path) -> list[Credentials]:
    in_notebook = environment.get("KAGGLE_KERNEL_RUN_TYPE") and environment.get("KAGGLE_DATA_PROXY_URL")
    if in_notebook and (token := _text(Path(environment.get("KAGGLE_API_V1_TOKEN") or "-"), is_token=True)):
        return [Credentials("ACCESS_TOKEN", "this notebook's token", None, (token,))]
    if named := environment.get("KAGGLE_API_TOKEN"):
        shown = "the token in KAGGLE_API_TOKEN"
        if not os.access(named, os.F_OK):  # a token may also be too long for the name of a file
            if named.startswith(("/", "~", ".")):
                raise UserError(f"KAGGLE_API_TOKEN: there is no file {named}; {_MAKE} {named}")
            return [Credentials("ACCESS_TOKEN", shown, None, (named,))]
        token = _text(Path(named), is_token=True)
        return [Credentials("ACCESS_TOKEN", f"{shown}, {named}", Path(named), (token,))]
    for name in ("access_token", "access_token.txt"):
        if token := _text(path := home / ".kaggle" / name, is_token=True):
            return [Credentials("ACCESS_TOKEN", f"the token in ~/.kaggle/{name}", path, (token,))]
    return []


def _keys(environment: Mapping[str, str], home: Path) -> list[Credentials]:
    path = config_folder(environment, home) / "kaggle.json"
    # a variable overrides the same value in the file
    user, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    needed = [name for name, value in (("username", user), ("key", key)) if not value]
    content = _json(path, needed) if needed else {}
    secrets = _texts(key, content.get("key"))
    if not (user or content.get("username")) or not secrets:
        return []
    if not user and not key:
        return [Credentials("LEGACY_API_KEY", f"the key in {_short(path, home)}", path, secrets)]
    shown = f"KAGGLE_USERNAME ({user}) and KAGGLE_KEY"
    if not user or not key:
        shown = f"{'KAGGLE_USERNAME and the key' if user else 'KAGGLE_KEY and the user name'} in {_short(path, home)}"
    return [Credentials("LEGACY_API_KEY", shown, None if key else path, secrets)]


def _login(_: Mapping[str, str], home: Path) -> list[Credentials]:
    login = _json(path := home / ".kaggle" / "credentials.json", ["refresh_token"])
    shown = "the login of `kaggle auth login` in ~/.kaggle/credentials.json"
    secrets = _texts(login.get("refresh_token"), login.get("access_token"))
    return [Credentials("OAUTH", shown, path, secrets)] if login else []


def _misplaced(environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """Variables that are not enough, and files where the client does not look."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_KEY", "KAGGLE_TOKEN"):
        if name in environment:
            fault = "not enough" if environment[name] else "empty"
            yield f"{name} is {fault}: Kaggle's client reads {_VARIABLES}; set these, or type: unset {name}"
    usual, folder = home / ".kaggle", config_folder(environment, home)
    if environment.get("KAGGLE_CONFIG_DIR"):
        yield f"KAGGLE_CONFIG_DIR: there is no kaggle.json in {folder}; set it right, or type: unset KAGGLE_CONFIG_DIR"
    for name, right in (("access_token", usual), ("kaggle.json", folder)):
        wrong = _xdg_folder(environment, home) / name
        if wrong.parent != right and os.access(wrong, os.F_OK):
            move = f"mkdir -p {shlex.quote(str(right))} && {shlex.join(['mv', str(wrong), str(right)])}"
            yield f"{wrong}: Kaggle's client does not look there; type: {move}"


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _texts(*values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values if value)  # the client, too, takes numbers as texts


def _json(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no file. Raises UserError if a needed name has no value."""
    if not (text := _text(path)):
        return {}
    content: Any = None
    with suppress(json.JSONDecodeError):
        content = json.loads(text)
    values = content if isinstance(content, dict) else {}
    if missing := [name for name in needed if not values.get(name)]:
        raise _faulty(path, "is not a JSON object" if content is None else f"has no {' and no '.join(missing)}")
    return values


def _text(path: Path, is_token: bool = False) -> str:
    """The text of a file; "" if there is no file. Raises UserError if the client cannot use it."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise _faulty(path, "is a link to a file that is not there", is_token) from None
        return ""
    except OSError as error:
        raise _faulty(path, f"cannot be read ({error.strerror})", is_token) from None
    text = content.decode(errors="replace").strip()
    faults = {
        "is empty": not text,
        "is UTF-16 text; it must be UTF-8": b"\0" in content,
        "begins with a byte order mark (BOM)": text.startswith("\ufeff"),
        "is not UTF-8 text": "\ufffd" in text,
        "holds more than a token": is_token and len(text.split()) > 1,
    }
    for fault in (fault for fault, holds in faults.items() if holds):
        raise _faulty(path, fault, is_token)
    return text


def _faulty(path: Path, fault: str, is_token: bool = False) -> UserError:
    """The error for a file."""
    closed = path if os.access(path.parent, os.X_OK) else path.parent
    file, entry = shlex.quote(str(path)), shlex.quote(str(closed))
    remedy = f"type: mv {file} {file}.old; then {f'{_MAKE} {path}' if is_token else NEW_TOKEN}"
    if "Permission denied" in fault:
        remedy = f"type: sudo chown $USER {entry}; chmod u+rwX {entry}"
    return UserError(f"{path}: {fault}; {remedy}")
