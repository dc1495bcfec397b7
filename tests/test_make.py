"""The Makefile is the face: its help is complete, its targets exist, and light ones stay light."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from digits.cli.main import COMMANDS, GROUPS
from toys import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md", "docs/experiments.md")
VARIABLES = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE))


def test_help_is_the_default_and_names_every_target_and_variable() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown == subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)) == TARGETS
    assert TARGETS | {"study"} == set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"^  ([A-Z_]+)=", shown, re.MULTILINE)) == VARIABLES
    assert len(shown.splitlines()) <= 45


def typed(*words: str) -> str:
    """The shell commands of a target."""
    command = ["make", "--dry-run", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_every_command_is_a_target_with_the_same_words_in_the_same_group() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for title, group in GROUPS.items():
        [lines] = re.findall(rf"^{title}\n((?:  .*\n)+)", shown, re.MULTILINE)
        targets = dict(re.findall(r"^  make ([a-z-]+) +(.*)$", lines, re.MULTILINE))
        assert {command.name: command.short_help for command in group}.items() <= targets.items()
        assert targets.keys() - {command.name for command in group} <= {"help", "setup"}
    for target in TARGETS:
        ran = re.findall(r"-m digits ([a-z-]+)", typed(target))
        assert ran == (
            [target] if target in COMMANDS else {"screenshot": ["report"], "bench": ["data"]}.get(target, [])
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_variable_is_an_option_of_the_commands_that_understand_it(name: str) -> None:
    """SET is --sets. The options that take no value are given by 1; PYTHON is for the set-up alone."""
    [line] = [
        line
        for line in typed(name, *(f"{each}=1" for each in VARIABLES - {"PYTHON"})).splitlines()
        if "-m digits" in line
    ]
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts} - {"--set"}
    assert set(re.findall(r" (--[a-z-]+)", line)) == options
    assert "--" not in typed(name, *(f"{each}=" for each in VARIABLES)).splitlines()[-1]


def test_what_has_another_name_now_is_said() -> None:
    refused = subprocess.run(["make", "study"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: make study is called make recipes now\n")


def test_help_needs_no_python(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("make", "sh", "sed", "printf", "expand"):
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    shown = subprocess.run(
        ["make"], cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "make submit" in shown.stdout


def test_a_killed_setup_is_not_taken_for_done(tmp_path: Path) -> None:
    """An environment without its last file is made anew; with it, nothing happens."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup.sh").write_text('echo setting up; mkdir -p "$1"\n')
    setup = ["make", "setup"]
    for _ in range(2):
        assert "setting up" in subprocess.run(setup, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    shutil.copy(ROOT / "requirements.lock", tmp_path / ".venv" / "installed")
    assert subprocess.run(setup, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == ""


def test_no_fitting_python_is_explained(tmp_path: Path) -> None:
    refused = subprocess.run(
        ["sh", str(ROOT / "tools" / "setup.sh"), ".venv", "no-such-python"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no Python 3.11 to 3.13 found")


def test_values_with_spaces_and_quotes_reach_the_program(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shutil.copy(ROOT / "requirements.lock", tmp_path / ".venv" / "installed")
    python.write_text('#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n')
    python.chmod(0o755)
    values = ["SET=train.epochs=3 train.layers='8C3 MP2'", 'DATA=it\'s "my" data.zip']
    command = ["make", "train", *values]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[shown.index("<--sets>") + 1] == f"<{values[0].removeprefix('SET=')}>"
    assert shown[shown.index("<--data>") + 1] == f"<{values[1].removeprefix('DATA=')}>"
    assert shown[:3] == ["<-m>", "<digits>", "<train>"]


@pytest.mark.parametrize("word", ["0", "no", "off", "false", "No"])
def test_no_means_no(word: str) -> None:
    """A file that is sent cannot be taken back."""
    assert "--no-upload" in typed("submit", f"UPLOAD={word}")
    assert "--upload" in typed("submit", "UPLOAD=1")
    assert "upload" not in typed("submit") + typed("submit", "UPLOAD=")
    assert "--force" not in typed("submit", f"FORCE={word}")
    assert "--force" in typed("submit", "FORCE=1")


def test_the_program_is_that_of_this_folder(tmp_path: Path) -> None:
    """Not of the one that it was copied from, whose packages it has."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "src" / "digits").mkdir(parents=True)
    (tmp_path / "src" / "digits" / "__main__.py").write_text("print('the copy')")
    (tmp_path / "src" / "digits" / "__init__.py").touch()
    shown = subprocess.run(["make", "score"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown == "the copy\n"


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_in_the_pages_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:`|^ *)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= TARGETS | {"study"}  # what make recipes was called
    assert page != "README.md" or {"submit", "test"} <= named
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / page).parent.joinpath(path).exists(), path


def test_the_lock_has_no_addresses_and_a_hash_for_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = re.findall(r"^\S+==", lock, re.MULTILINE)
    assert len(pins) > 50
    assert all("--hash=sha256:" in block for block in re.split(r"^(?=\S+==)", lock, flags=re.MULTILINE)[1:])


def test_environment_is_the_locked_one() -> None:
    """What runs the tests is what the lock says, so figures can be compared."""
    from importlib.metadata import version

    lock = dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+) \\", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in ("keras", "tensorflow", "scikit-learn", "optuna", "kaggle"):
        assert version(name) == lock[name]
