"""Folders on their way: what arrives is what was sent, or it is refused."""

from pathlib import Path

import pytest

from digits.cluster.packing import name_of, packed, packed_below, place, received, unpack
from digits.common.errors import UserError
from digits.common.sealed import intact, sealed_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with sealed_folder(tmp_path / "sent") as made:
        (made / "images.npy").write_bytes(bytes(range(256)))
        (made / "inner").mkdir()
        (made / "inner" / "text").write_text("é")
    return tmp_path / "sent"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_arrives_as_it_was_without_what_was_added_later(folder: Path, tmp_path: Path) -> None:
    before = content(folder)
    (folder / "added").write_text("later")
    received(packed(folder), name_of(folder), tmp_path / "there")
    place(packed(folder), tmp_path / "back" / "unit")
    assert content(tmp_path / "there") == content(tmp_path / "back" / "unit") == before
    assert intact(tmp_path / "back" / "unit")


def test_all_sealed_folders_are_found_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a line")
    (tmp_path / ".sent-abcdefgh").mkdir()
    assert packed_below(tmp_path) == {"sent": packed(folder)}


@pytest.mark.parametrize("change", [{"images.npy": b"other"}, {"images.npy": None}])
def test_what_was_damaged_on_its_way_is_refused_and_leaves_nothing(
    change: dict[str, bytes | None], folder: Path, tmp_path: Path
) -> None:
    files = {name: each for name, each in (packed(folder) | change).items() if each is not None}
    with pytest.raises(UserError, match=r"images\.npy was damaged on its way"):
        received(files, name_of(folder), tmp_path / "there")
    assert not (tmp_path / "there").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="damaged"):
        unpack({}, tmp_path / "empty")


def test_arrays_under_another_name_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other arrays have arrived"):
        received(packed(folder), "0" * 64, tmp_path / "there")
    assert not (tmp_path / "there").exists()
