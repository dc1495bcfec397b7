"""The version of code changes with what it computes and with nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from digits.common.code_version import code_version, commit


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules in place of this one."""
    folder = tmp_path / "imagined"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "top.py").write_text("from imagined.below import f\n\ndef g(x):\n    return f(x)\n")
    (folder / "below.py").write_text('def f(x):\n    """Add."""\n    return x + 1  # why\n')
    (folder / "aside.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("digits.common.code_version._PACKAGE", "imagined")
    sys.modules.pop("imagined", None)
    code_version.cache_clear()
    return folder


def version() -> str:
    code_version.cache_clear()
    return code_version("imagined.top")


def test_what_a_module_imports_counts(package: Path) -> None:
    before = version()
    (package / "below.py").write_text("def f(x):\n    return x + 2\n")
    assert version() != before


def test_comments_docstrings_and_strangers_do_not(package: Path) -> None:
    before = version()
    (package / "below.py").write_text('def f(x):\n    """Add one to x."""\n\n    return x + 1\n')
    (package / "aside.py").write_text("y = 2\n")
    assert version() == before


def test_libraries_count_by_their_version(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "below.py").write_text("import numpy\n\ndef f(x):\n    return x + 1\n")
    before = version()
    monkeypatch.setattr("digits.common.code_version.version", lambda _: "0")
    assert version() != before


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
    assert len(clean) >= 10 and set(clean) <= set("0123456789abcdef")
    (tmp_path / "another").write_text("that git does not know")
    assert commit(tmp_path) == clean
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == clean + "+"
