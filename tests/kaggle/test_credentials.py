"""Which credentials there are, in the order in which Kaggle's client tries them."""

import json
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.kaggle.credentials import Credentials, credentials


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def save(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


KEY = {"username": "me", "key": "canary"}


def test_tokens_come_before_keys_and_these_before_what_a_login_has_left(home: Path) -> None:
    save(home / ".kaggle" / "access_token", "canary\n")
    save(home / ".kaggle" / "kaggle.json", KEY)
    save(home / ".kaggle" / "credentials.json", {"refresh_token": "canary", "access_token": "canary"})
    found = credentials({}, home)
    assert [each.method for each in found] == ["ACCESS_TOKEN", "LEGACY_API_KEY", "OAUTH"]
    assert [each.where for each in found[:2]] == [
        "the token in ~/.kaggle/access_token",
        "the key in ~/.kaggle/kaggle.json",
    ]
    assert all("canary" in each.secrets for each in found)
    assert "canary" not in repr(found)
    assert not any("canary" in each.where for each in found)


def test_variables_come_before_files_of_the_same_kind(home: Path) -> None:
    save(home / ".kaggle" / "access_token", "other")
    save(home / ".kaggle" / "kaggle.json", KEY)
    found = credentials({"KAGGLE_API_TOKEN": "canary", "KAGGLE_USERNAME": "me", "KAGGLE_KEY": "canary"}, home)
    assert [(each.where, each.file) for each in found] == [
        ("the token in KAGGLE_API_TOKEN", None),
        ("KAGGLE_USERNAME (me) and KAGGLE_KEY", None),
    ]
    named = save(home / "elsewhere", "canary")
    [token, *_] = credentials({"KAGGLE_API_TOKEN": str(named)}, home)
    assert (token.file, token.secrets) == (named, ("canary",))


def test_a_variable_takes_the_place_of_what_the_file_says(home: Path) -> None:
    save(home / ".kaggle" / "kaggle.json", {"username": "me"})
    [found] = credentials({"KAGGLE_KEY": "canary"}, home)
    assert (found.where, found.secrets) == ("KAGGLE_KEY and the user name in ~/.kaggle/kaggle.json", ("canary",))
    save(home / ".kaggle" / "kaggle.json", KEY | {"key": "other canary"})
    [found] = credentials({"KAGGLE_KEY": "canary"}, home)
    assert found.secrets == ("canary", "other canary"), "neither is shown"


def test_a_file_that_cannot_be_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(home / ".kaggle" / "kaggle.json", KEY)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")  # as for everyone but the superuser, who may run this

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=rf"{path}: cannot be read \(Permission denied\)"):
        credentials({}, home)


def test_the_folder_of_the_key_is_the_clients(home: Path) -> None:
    save(home / "mine" / "kaggle.json", KEY)
    [found] = credentials({"KAGGLE_CONFIG_DIR": str(home / "mine")}, home)
    assert found.where == "the key in ~/mine/kaggle.json"
    (home / ".kaggle").rmdir()
    save(home / ".config" / "kaggle" / "kaggle.json", KEY)
    [found] = credentials({}, home)
    assert found.where == "the key in ~/.config/kaggle/kaggle.json"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"username": "me"}', '{"key": 3, "username": ""}'])
def test_what_is_no_key_is_passed_over(home: Path, content: str) -> None:
    save(home / ".kaggle" / "kaggle.json", content)
    save(home / ".kaggle" / "credentials.json", content)
    save(home / ".kaggle" / "access_token", " \n")
    assert credentials({"KAGGLE_API_TOKEN": ""}, home) == []


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_files_that_others_can_read_are_exposed(home: Path, mode: int, exposed: bool) -> None:
    save(home / ".kaggle" / "access_token", "canary", mode)
    [found] = credentials({}, home)
    assert found.exposed is exposed
    assert not Credentials("ACCESS_TOKEN", "a variable", None, ("canary",)).exposed
