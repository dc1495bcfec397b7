"""Sealed files and folders: what is damaged in any way is noticed, kept, and missing to the caller."""

import errno
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from digits.common import sealed
from digits.common.errors import DiskError
from digits.common.sealed import intact, read_json, read_or_make, save_folder, sealed_folder, write_json
from toys import DAMAGES

VALUE = {"name": "a fit", "numbers": [1, 0.1, 1e-300, float("inf")], "nested": {"none": None, "word": "größer"}}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_value_is_kept_and_missing(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever byte it is; a change of layout alone is none."""
    path, generator = tmp_path / "value.json", random.Random(0)
    for _ in range(60):
        write_json(path, VALUE)
        whole = path.read_bytes()
        DAMAGES[damage](path, generator)
        damaged, found = path.read_bytes(), read_json(path)
        said = capsys.readouterr().err
        kept = {each.read_bytes() for each in tmp_path.glob(".damaged-value.json-*")}
        for each in tmp_path.glob(".damaged-value.json-*"):
            each.unlink()
        if found == VALUE or b'"checksum": "' not in damaged:  # as a file of another program, which has none
            continue
        assert found is None
        assert said.count("\n") == 2
        assert "value.json is damaged: " in said
        assert kept == {damaged}
        assert damaged != whole
        assert not path.exists()


def test_a_value_may_be_laid_out_anew(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", VALUE)
    (tmp_path / "value.json").write_text(" ".join((tmp_path / "value.json").read_text().split()))
    assert read_json(tmp_path / "value.json") == VALUE
    assert read_json(tmp_path / "none.json") is None


@pytest.mark.parametrize("damage", [*DAMAGES, "lost"])
@pytest.mark.parametrize("name", ["weights", "deep/values.json", "manifest.json"])
def test_a_damaged_folder_is_kept_and_missing(
    damage: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "unit"
    with sealed_folder(folder) as made:
        (made / "weights").write_bytes(os.urandom(1000))
        (made / "deep").mkdir()
        write_json(made / "deep" / "values.json", VALUE)
    (folder / "added.txt").write_text("later")
    assert intact(folder)
    path = folder / name
    path.unlink() if damage == "lost" else DAMAGES[damage](path, random.Random(1))
    assert not intact(folder)
    assert not folder.exists()
    [kept] = tmp_path.glob(".damaged-unit-*")
    assert (kept / "added.txt").exists()
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert "unit is damaged: " in said
    assert name in said
    assert kept.name in said


def test_what_is_damaged_and_cannot_be_set_aside_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be taken for whole: a folder that exists is never written anew."""
    with sealed_folder(tmp_path / "unit") as made:
        (made / "weights").write_bytes(b"some")
    (tmp_path / "unit" / "weights").write_bytes(b"other")
    monkeypatch.setattr(Path, "rename", raising(errno.EROFS))
    with pytest.raises(DiskError, match=r"unit is damaged: weights .*; it cannot be renamed: Read-only .*; remove it"):
        intact(tmp_path / "unit")


def test_a_folder_without_a_manifest_is_not_taken_for_complete(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "metrics.json").write_text("{}")
    assert not intact(tmp_path / "unit")
    assert not intact(tmp_path / "none")


def test_what_is_made_once_is_the_same_for_commands_side_by_side(tmp_path: Path) -> None:
    """Both have found nothing; the second one waits, and takes what the first one has made."""
    path, begun, twice = tmp_path / "made.json", threading.Event(), threading.Event()

    def first() -> dict[str, str]:
        begun.set()
        twice.wait(0.3)  # as long as the second one may take to make its own
        return {"by": "first"}

    def second() -> dict[str, str]:
        twice.set()
        return {"by": "second"}

    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(read_or_make, path, first)
        begun.wait()
        assert pool.submit(read_or_make, path, second).result() == made.result() == {"by": "first"}
    assert not twice.is_set()


def raising(number: int) -> Callable[..., Any]:
    """What a system call is replaced by."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE])
def test_a_finished_fit_waits_until_it_can_be_saved(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = []

    def fill(folder: Path) -> None:
        attempts.append(folder)
        (folder / "weights").write_text("some")
        if len(attempts) < 4:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sealed, "_PAUSE", 0.0)
    save_folder(tmp_path / "unit", fill)
    assert (tmp_path / "unit" / "weights").read_text() == "some"
    assert len(attempts) == 4
    assert [*tmp_path.iterdir()] == [tmp_path / "unit"]
    assert intact(tmp_path / "unit")
    said = capsys.readouterr().err
    assert said.count("a finished fit is not saved yet, and is lost in 10 minutes") == 1
    assert os.strerror(number) in said


def test_what_can_never_be_saved_is_said_to_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "_PAUSE", 0.0)
    monkeypatch.setattr(sealed, "_SAVING", 0.05)
    with pytest.raises(
        DiskError, match=r"a finished fit could not be saved and is lost: .*/unit: cannot be written: N"
    ):
        save_folder(tmp_path / "unit", raising(errno.ENOSPC))
    assert [*tmp_path.iterdir()] == []


def test_what_is_wrong_in_the_code_waits_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        save_folder(tmp_path / "unit", lambda _: dict[str, None]()["key"])
