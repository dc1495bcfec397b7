"""The package without a checkout: what a wheel contains, `digits init`, and what works without the extras."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from digits.cli.init import FILES
from digits.cli.main import main
from toys import ROOT, digits_arguments, make, tree, write_toy_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# what a Python without the package's extras says of them
WITHOUT_EXTRAS = """
import importlib.metadata, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
ABSENT = {"tensorflow", "keras", "psycopg", "optuna_dashboard"}
sys.meta_path.insert(0, Absent())
found = importlib.metadata.distribution
def distribution(name):
    if name in ABSENT:
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
importlib.metadata.distribution = distribution
import importlib.util
util = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ABSENT else util(name, package)
from digits.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_init_makes_the_folder_of_a_competition_and_keeps_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my digits"
    assert main(["init", str(folder)]) == 0
    assert "digits submit --data practice" in capsys.readouterr().out
    assert {*tree(folder)} == {*FILES}
    assert all(content == (ROOT / name).read_bytes() for name, content in tree(folder).items())
    (folder / "params.yaml").write_text("mine")
    (folder / "Makefile").unlink()
    assert main(["init", str(folder)]) == 0
    assert (folder / "params.yaml").read_text() == "mine"
    assert (folder / "Makefile").exists()


def test_init_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("a file in the place of a folder")
    assert main(["init", str(tmp_path)]) == 2
    assert re.fullmatch(r"error: .*data/README.md: .*\n", capsys.readouterr().err)


def test_a_folder_that_is_no_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["submit"]) == 2
    assert capsys.readouterr().err.startswith("error: this folder has no params.yaml; type `digits init`")
    assert main(["init"]) == 0
    assert main(["submissions"]) == 0


def test_make_in_that_folder_runs_the_installed_program(tmp_path: Path) -> None:
    main(["init", str(tmp_path / "mine")])
    (tmp_path / "digits").write_text('#!/bin/sh\necho "installed: $*"\n')
    (tmp_path / "digits").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for words, expected in (
        (["submit", "BUDGET=3"], "installed: submit --budget 3\n"),
        (["setup"], ""),
        (["clean"], "rm -rf reports data/processed data/practice\n"),
    ):
        assert make(*words, cwd=tmp_path / "mine", environment=environment).stdout == expected
    listed = make(cwd=tmp_path / "mine").stdout
    assert "make submit" in listed
    assert "make test" not in listed


@pytest.mark.slow
def test_a_wheel_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Built, unpacked and run outside the checkout, in a folder with a space: no file of the checkout is needed.

    Baselines and reports work with what `make baseline` installs, without the extras.
    """
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(built, cwd=ROOT, capture_output=True, check=True)
    [wheel] = tmp_path.glob("digits-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)}

    def run(*arguments: str, folder: Path, program: tuple[str, ...] = ("-c", WITHOUT_EXTRAS)) -> str:
        command = [sys.executable, *program, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout

    run("init", "my digits", folder=tmp_path, program=("-m", "digits"))
    folder = tmp_path / "my digits"
    assert tree(folder) == {name: (ROOT / name).read_bytes() for name in FILES}
    write_toy_files(folder / "data" / "raw")
    assert "2 models, best" in run(*digits_arguments("baseline"), folder=folder)
    assert "index.html" in run(*digits_arguments("report"), folder=folder)


def test_the_wheel_has_what_init_writes() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {name: f"digits/project/{name}" for name in FILES}


def test_the_versions_agree() -> None:
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_without_the_extras_a_command_that_needs_more_says_what_to_type(workspace: Path) -> None:
    write_toy_files(workspace / "data" / "raw")
    needing = ("submit", "train", "tune", "recipes")
    all_of_them = WITHOUT_EXTRAS.replace(
        "sys.exit(main(sys.argv[1:]))", "print(*[main([name, *sys.argv[1:]]) for name in NAMES])"
    ).replace("NAMES", repr(("runs", *needing)))
    command = [sys.executable, "-c", all_of_them, *digits_arguments()]
    shown = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("0 2 2 2 2\n")
    said = (f"error: {name} needs TensorFlow and Keras; type: pip install 'digits[keras]'\n" for name in needing)
    assert shown.stderr == "".join(said)
