"""Files are whole or absent; fingerprints tell equal content from different content."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.files import atomic_folder, fingerprint, read_json, read_or_make, write_atomic, write_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=6))
def test_fingerprint_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@pytest.mark.parametrize("other", [{"a": 1, "b": [1, 3]}, {"a": 1}, {"a": 1, "b": [2, 1]}, {"a": True, "b": [1, 2]}])
def test_fingerprint_sees_every_difference(other: object) -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint(other)


def test_fingerprint_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))


def test_write_atomic_keeps_the_old_content_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "file.json", {"a": [1, None]})
    assert read_json(tmp_path / "deep" / "file.json") == {"a": [1, None]}
    assert read_json(tmp_path / "absent.json") is None


def test_atomic_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "unit"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"

    def fail(target: Path) -> None:
        with atomic_folder(target) as folder:
            (folder / "a").write_text("2")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail(tmp_path / "other")
    assert list(tmp_path.iterdir()) == [target]


def test_the_first_of_two_that_make_the_same_folder_wins(tmp_path: Path) -> None:
    target = tmp_path / "unit"
    with atomic_folder(target) as second:
        (second / "a").write_text("second")
        with atomic_folder(target) as first:
            (first / "a").write_text("first")
    assert (target / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_made_once_is_the_same_for_commands_side_by_side(tmp_path: Path) -> None:
    """Both have found nothing; the second one waits, and takes what the first one has made."""
    path, begun, twice = tmp_path / "made.json", threading.Event(), threading.Event()

    def first() -> str:
        begun.set()
        twice.wait(0.3)  # as long as the second one may take to make its own
        return "first"

    def second() -> str:
        twice.set()
        return "second"

    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(read_or_make, path, first)
        begun.wait()
        assert pool.submit(read_or_make, path, second).result() == made.result() == "first"
    assert not twice.is_set()
