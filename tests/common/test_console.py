"""What the user sees on a terminal of 80 columns, and in a file."""

import re

import pytest

from digits.common.console import Console

TEXT = "the quick brown fox jumps over the lazy dog and a long name like submissions/practice-ba3953a9fe58.csv follows"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A console that takes standard output for a terminal of 80 columns."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "LINES": "40", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Console()


def plain(text: str) -> str:
    """The text without what moves the cursor or colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_lines_end_between_words(terminal: Console, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(TEXT)
    shown = plain(capsys.readouterr().out).splitlines()
    assert max(map(len, shown)) <= 80
    assert " ".join(line.strip() for line in shown) == TEXT


def test_what_is_copied_is_not_broken(terminal: Console, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(TEXT, copied=True)
    assert capsys.readouterr().out == f"{TEXT}\n"


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_colours_are_off_where_the_terminal_says_so(
    name: str, terminal: Console, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.warn("careful")
    assert "\x1b[1;33m" in capsys.readouterr().out
    monkeypatch.setenv(name, "dumb")
    Console().warn("careful")
    assert not re.search(r"\x1b\[[0-9;]*3\dm", capsys.readouterr().out)


def test_fits_in_parallel_have_a_line_each(terminal: Console, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.bar("train", 5, "minutes") as bar:
        bar.part("fold 1", 1, 2, "accuracy 0.9876")
        bar.part("refit", 1, 3, "accuracy 0.9765")
        bar.part("fold 1", 2, 2, "accuracy 0.9900")
    shown = plain(capsys.readouterr().out)
    assert re.search(r"fold 1 .* 1 of 2 epochs .*accuracy 0.9876", shown)
    assert re.search(r"refit .* 1 of 3 epochs .*accuracy 0.9765", shown)
    assert "fold 1: epoch 2 of 2, accuracy 0.9900\n" in shown.replace("\r", "")
    assert max(map(len, shown.splitlines())) <= 80


def test_a_file_gets_a_line_for_all_of_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("digits.common.console.time.monotonic", lambda: now)
    with Console(plain=True).bar("train", 5, "minutes") as bar:
        bar.part("fold 1", 1, 2, "accuracy 0.9876")
        bar.part("refit", 1, 3, "accuracy 0.9765")
        now = 60.0
        bar.advance(1)
        bar.part("fold 1", 2, 2, "accuracy 0.9900")
    assert capsys.readouterr().out.splitlines() == [
        "train: 60 s of about 300 s; fold 1: epoch 1 of 2, accuracy 0.9876; refit: epoch 1 of 3, accuracy 0.9765",
        "fold 1: epoch 2 of 2, accuracy 0.9900",
    ]
