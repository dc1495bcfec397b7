"""The version of code covers what a computation lists; the commit is that of the project."""

import subprocess
from pathlib import Path

import pytest

from digits.common.code_version import code_version, commit
from digits.common.fingerprints import Computation

SUM = "from digits.parts import part\n\ndef whole(x):\n    return part(x) + 1\n"
PART = "import numpy\n\ndef part(x):\n    return numpy.float32(x)\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of which one computation lists a module and a room."""
    write(tmp_path, SUM, PART)
    (tmp_path / "beside.py").write_text("x = 1\n")
    monkeypatch.setattr(
        "digits.common.code_version.COMPUTATIONS", {"sum": Computation(("room.whole",), ("parts",), ("numpy",))}
    )
    return tmp_path


def write(package: Path, whole: str, parts: str) -> None:
    for folder in ("room", "parts"):
        (package / folder).mkdir(exist_ok=True)
    (package / "room" / "whole.py").write_text(whole)
    (package / "parts" / "__init__.py").write_text(parts)


def summed(package: Path) -> str:
    code_version.cache_clear()
    return code_version("sum", package)


def test_what_is_listed_counts_and_nothing_else(package: Path) -> None:
    before = summed(package)
    (package / "beside.py").write_text("x = 2\n")
    assert summed(package) == before
    write(package, SUM.replace("1", "2"), PART)
    entry = summed(package)
    write(package, SUM, PART.replace("float32", "float64"))
    assert len({before, entry, summed(package)}) == 3


def test_which_module_the_code_stands_in_does_not_count(package: Path) -> None:
    before = summed(package)
    write(package, PART, SUM)
    assert summed(package) == before


def test_a_new_release_of_a_listed_library_counts(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for release in ("2.4.6", "2.4.7", "2.4.7.post1"):
        monkeypatch.setattr("digits.common.code_version.version", {"numpy": release}.__getitem__)
        found.add(summed(package))
    assert len(found) == 3


def test_a_computation_that_nobody_listed_has_no_version() -> None:
    with pytest.raises(KeyError, match="alchemy"):
        code_version("alchemy")


def test_the_commit_is_told_with_a_sign_of_changes(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    by = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *by, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    clean = commit(tmp_path)
    assert len(clean) >= 10
    assert set(clean) <= set("0123456789abcdef")
    (tmp_path / "another").write_text("that git does not know")
    assert commit(tmp_path) == clean
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == clean + "+"
