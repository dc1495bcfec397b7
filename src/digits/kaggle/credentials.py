"""The Kaggle credentials on this computer, in the order in which Kaggle's client tries them."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from digits.common.errors import UserError

Method = Literal["ACCESS_TOKEN", "LEGACY_API_KEY", "OAUTH"]  # as the client calls them

NEW_TOKEN = "make a token at kaggle.com/settings/api and save it as ~/.kaggle/access_token"


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
    """All credentials; files without any are skipped. Raises UserError if a file cannot be read."""
    found = [*_tokens(environment, home), *_keys(environment, home)]
    path = home / ".kaggle" / "credentials.json"
    login = _json(path)
    if refresh := login.get("refresh_token"):
        shown = "the login of `kaggle auth login` in ~/.kaggle/credentials.json"
        found.append(Credentials("OAUTH", shown, path, _texts(refresh, login.get("access_token"))))
    return found


def _tokens(environment: Mapping[str, str], home: Path) -> list[Credentials]:
    in_notebook = environment.get("KAGGLE_KERNEL_RUN_TYPE") and environment.get("KAGGLE_DATA_PROXY_URL")
    if in_notebook and (token := _text(Path(environment.get("KAGGLE_API_V1_TOKEN") or "-"))):
        return [Credentials("ACCESS_TOKEN", "this notebook's token", None, (token,))]
    if named := environment.get("KAGGLE_API_TOKEN"):
        shown = "the token in KAGGLE_API_TOKEN"
        if not _is_file(Path(named)):
            return [Credentials("ACCESS_TOKEN", shown, None, (named,))]
        token = _text(Path(named))
        return [Credentials("ACCESS_TOKEN", f"{shown}, {named}", Path(named), (token,))] if token else []
    for name in ("access_token", "access_token.txt"):
        if token := _text(path := home / ".kaggle" / name):
            return [Credentials("ACCESS_TOKEN", f"the token in ~/.kaggle/{name}", path, (token,))]
    return []


def _keys(environment: Mapping[str, str], home: Path) -> list[Credentials]:
    path = _config_folder(environment, home) / "kaggle.json"
    content = _json(path)
    # a variable overrides the same value in the file
    user, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    secrets = _texts(key, content.get("key"))
    if not (user or content.get("username")) or not secrets:
        return []
    if not user and not key:
        return [Credentials("LEGACY_API_KEY", f"the key in {_short(path, home)}", path, secrets)]
    shown = f"KAGGLE_USERNAME ({user}) and KAGGLE_KEY"
    if not user or not key:
        shown = f"{'KAGGLE_USERNAME and the key' if user else 'KAGGLE_KEY and the user name'} in {_short(path, home)}"
    return [Credentials("LEGACY_API_KEY", shown, None if key else path, secrets)]


def _config_folder(environment: Mapping[str, str], home: Path) -> Path:
    if named := environment.get("KAGGLE_CONFIG_DIR"):
        return Path(named)
    usual = home / ".kaggle"
    return usual if usual.exists() else Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _texts(*values: Any) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str) and value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a token may be too long for the name of a file
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() if _is_file(path) else ""
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); type: sudo chown $USER {path}; chmod 600 {path}"
        ) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path) or "{}")
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
