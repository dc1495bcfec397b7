"""Which credentials there are, in the order in which Kaggle's client tries them, and what is wrong with them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.kaggle.credentials import Credentials, credentials, has_folders


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def save(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
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


@pytest.mark.parametrize("name", ["access_token", "kaggle.json", "credentials.json"])
@pytest.mark.parametrize("locked", ["file", "folder", "simulated"])
def test_a_file_that_cannot_be_read_is_named_and_the_remedy_helps(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, locked: str
) -> None:
    path = save(home / ".kaggle" / name, "canary" if name == "access_token" else KEY | {"refresh_token": "canary"})
    if locked == "folder":
        path.parent.chmod(0o600)
    else:
        path.chmod(0o000)
    with monkeypatch.context() as patch:
        if locked == "simulated":  # for the superuser, who may read everything
            read = Path.read_bytes

            def refuse(self: Path) -> bytes:
                if self == path:
                    raise PermissionError(13, "Permission denied")
                return read(self)

            patch.setattr(Path, "read_bytes", refuse)
        elif os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(UserError, match=rf"{home}/.kaggle/.*: cannot be read \(Permission denied\)") as found:
            credentials({}, home)
    subprocess.run(["sh", "-c", str(found.value).partition("type: ")[2].replace("sudo chown", "true")], check=True)
    assert credentials({}, home)[0].file == path


def test_the_folder_of_the_key_is_the_clients(home: Path) -> None:
    save(home / "mine" / "kaggle.json", KEY)
    [found] = credentials({"KAGGLE_CONFIG_DIR": str(home / "mine")}, home)
    assert found.where == "the key in ~/mine/kaggle.json"
    (home / ".kaggle").rmdir()
    save(home / ".config" / "kaggle" / "kaggle.json", KEY)
    [found] = credentials({}, home)
    assert found.where == "the key in ~/.config/kaggle/kaggle.json"

    save(home / "xdg" / "kaggle" / "kaggle.json", KEY)
    [found] = credentials({"XDG_CONFIG_HOME": str(home / "xdg"), "KAGGLE_CONFIG_DIR": ""}, home)
    assert found.where == "the key in ~/xdg/kaggle/kaggle.json"


def test_only_linux_has_another_folder_for_the_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".kaggle").rmdir()
    path = save(home / ".config" / "kaggle" / "kaggle.json", KEY)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UserError, match=f"{path}: Kaggle's client does not look there"):
        credentials({}, home)


TEXT = json.dumps(KEY)
UTF_16, BOM = "is UTF-16 text; it must be UTF-8", "begins with a byte order mark (BOM)"
FOLDER, LINK = object(), object()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("kaggle.json", "", "is empty"),
        ("kaggle.json", " \n", "is empty"),
        ("kaggle.json", "{", "is not a JSON object"),
        ("kaggle.json", "null", "is not a JSON object"),
        ("kaggle.json", [], "has no username and no key"),
        ("kaggle.json", [KEY], "has no username and no key"),
        ("kaggle.json", 3, "has no username and no key"),
        ("kaggle.json", {"competition": "toy"}, "has no username and no key"),
        ("kaggle.json", {"username": "me"}, "has no key"),
        ("kaggle.json", {"username": "me", "key": None}, "has no key"),
        ("kaggle.json", {"username": "", "key": "canary"}, "has no username"),
        ("kaggle.json", TEXT.encode("utf-8-sig"), BOM),
        ("kaggle.json", TEXT.encode("utf-16"), UTF_16),
        ("kaggle.json", TEXT.encode("utf-16-le"), UTF_16),
        ("kaggle.json", TEXT.replace("canary", "\xfc").encode("latin-1"), "is not UTF-8 text"),
        ("kaggle.json", FOLDER, "cannot be read (Is a directory)"),
        ("kaggle.json", LINK, "is a link to a file that is not there"),
        ("credentials.json", "{", "is not a JSON object"),
        ("credentials.json", {"access_token": "canary"}, "has no refresh_token"),
        ("access_token", "\n", "is empty"),
        ("access_token", "canary\n".encode("utf-8-sig"), BOM),
        ("access_token.txt", "canary\r\n".encode("utf-16"), UTF_16),
        ("access_token", "export KAGGLE_API_TOKEN=canary", "holds more than a token"),
        ("access_token", FOLDER, "cannot be read (Is a directory)"),
        ("access_token", LINK, "is a link to a file that is not there"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_remedy_helps(
    home: Path, name: str, content: object, fault: str
) -> None:
    path = home / ".kaggle" / name
    if content is FOLDER:
        path.mkdir()
    elif content is LINK:
        path.symlink_to("nowhere")
    else:
        save(path, content)
    with pytest.raises(UserError) as found:
        credentials({}, home)
    assert str(found.value).startswith(f"{path}: {fault}; type: mv ")
    assert len(str(found.value).splitlines()) == 1
    assert "canary" not in str(found.value)
    follow(found.value, home)
    assert [each.secrets for each in credentials({}, home)] == [("new",)]


def follow(error: UserError, home: Path) -> None:
    """Do what it says: type a command, then make a token."""
    command, _, place = str(error).partition("type: ")[2].partition("; then make a token at kaggle.com/settings/api ")
    subprocess.run(["sh", "-c", command], check=True)
    save(Path(place.removeprefix("and save it as ").replace("~", str(home))), "new\n")


def test_a_fault_matters_unless_there_is_something_before_it(home: Path) -> None:
    save(home / ".kaggle" / "kaggle.json", TEXT.encode("utf-16"))
    save(home / ".kaggle" / "credentials.json", {"refresh_token": "canary"})
    with pytest.raises(UserError, match=r"kaggle\.json: is UTF-16 text"):
        credentials({}, home)
    for variables in ({"KAGGLE_API_TOKEN": "canary"}, {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "canary"}):
        assert credentials(variables, home)[0].file is None
    save(home / ".kaggle" / "access_token", "canary")
    assert [each.method for each in credentials({}, home)] == ["ACCESS_TOKEN", "OAUTH"]


def test_the_file_that_a_variable_names_is_the_only_one_with_a_token(home: Path) -> None:
    save(home / ".kaggle" / "access_token", "other")
    named = home / "my token"
    for missing in (str(named), "~/token"):
        with pytest.raises(UserError, match=f"^KAGGLE_API_TOKEN: there is no file {missing}; make a token at"):
            credentials({"KAGGLE_API_TOKEN": missing}, home)
    save(named, "")
    with pytest.raises(UserError, match=f"^{named}: is empty; type: mv") as found:
        credentials({"KAGGLE_API_TOKEN": str(named)}, home)
    follow(found.value, home)
    [token] = credentials({"KAGGLE_API_TOKEN": str(named)}, home)
    assert (token.file, token.secrets) == (named, ("new",))


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"KAGGLE_API_TOKEN": ""}, "KAGGLE_API_TOKEN is empty"),
        ({"KAGGLE_KEY": ""}, "KAGGLE_KEY is empty"),
        ({"KAGGLE_USERNAME": "canary"}, "KAGGLE_USERNAME is not enough"),
        ({"KAGGLE_USERNAME": "canary", "KAGGLE_KEY": ""}, "KAGGLE_USERNAME is not enough"),
        ({"KAGGLE_KEY": "canary"}, "KAGGLE_KEY is not enough"),
        ({"KAGGLE_TOKEN": "canary"}, "KAGGLE_TOKEN is not enough"),
        ({"KAGGLE_CONFIG_DIR": "/nowhere"}, "KAGGLE_CONFIG_DIR: there is no kaggle.json in /nowhere"),
    ],
)
def test_variables_that_are_not_enough_are_named(home: Path, variables: dict[str, str], fault: str) -> None:
    with pytest.raises(UserError, match=f"^{fault}") as found:
        credentials(variables, home)
    assert "canary" not in str(found.value)
    save(home / ".kaggle" / "kaggle.json", KEY)
    del variables[str(found.value).rpartition("type: unset ")[2]]
    assert len(credentials(variables, home)) == 1


@pytest.mark.parametrize("name", ["kaggle.json", "access_token"])
def test_a_file_where_the_client_does_not_look_is_named_and_the_remedy_helps(home: Path, name: str) -> None:
    path = save(home / "my config" / "kaggle" / name, KEY if name == "kaggle.json" else "canary")
    if name == "access_token":
        (home / ".kaggle").rmdir()
    variables = {"XDG_CONFIG_HOME": str(home / "my config")}
    with pytest.raises(UserError, match=f"^{path}: Kaggle's client does not look there; type: mkdir") as found:
        credentials(variables, home)
    subprocess.run(["sh", "-c", str(found.value).partition("type: ")[2]], check=True)
    assert credentials(variables, home)[0].file == home / ".kaggle" / name


def test_a_home_that_is_not_there_or_closed_has_no_credentials(home: Path) -> None:
    (home / "closed").mkdir(mode=0o000)
    closed = [home / "closed"] * (not os.access(home / "closed", os.X_OK))  # the superuser can read it
    for nowhere in (home / "nowhere", Path(os.devnull) / "home", *closed):
        assert credentials({}, nowhere) == []
        assert credentials({"KAGGLE_API_TOKEN": "canary"}, nowhere)[0].secrets == ("canary",)
        assert not has_folders({}, nowhere)
    assert has_folders({}, home)
    assert not has_folders({"KAGGLE_CONFIG_DIR": os.devnull + "/none"}, home)
    assert has_folders({"KAGGLE_CONFIG_DIR": str(home / "new" / "folder")}, home)
    (home / ".kaggle").rmdir()
    assert has_folders({}, home)
    assert (home / ".config" / "kaggle").is_dir()


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_files_that_others_can_read_are_exposed(home: Path, mode: int, exposed: bool) -> None:
    save(home / ".kaggle" / "access_token", "canary", mode)
    [found] = credentials({}, home)
    assert found.exposed is exposed
    assert not Credentials("ACCESS_TOKEN", "a variable", None, ("canary",)).exposed
