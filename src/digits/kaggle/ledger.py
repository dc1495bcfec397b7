"""The ledger: a CSV with one line per event of each intent (a planned submission, see `upload`).

Lines are only added; the latest line of an intent has its current state. Users open the file in spreadsheets, which
save it with other separators, quotes and line ends, and reformat cells that look like numbers.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, get_args

from digits.common.errors import UserError
from digits.common.files import exclusive, write_atomic
from digits.common.sealed import read_json, write_json

State = Literal[
    "written",  # the file exists
    "uploading",  # the upload has begun, and may have been interrupted: Kaggle's list says whether it has arrived
    "uploaded",  # Kaggle lists it
    "scored",
    "failed",  # the line says why in `reason`
]

COLUMNS = (
    "time",  # of this line, UTC, ISO 8601
    "intent",  # identifies the planned submission; its message contains it
    "public_score",
    "reason",  # of a failure
    "ref",  # Kaggle's number of the submission
    "competition",
    "provenance",  # of the data: kaggle, local or practice
    "source",  # name of the archive or folder
    "source_sha256",  # hash of the training file
    "data",  # hash of the images, labels and folds
    "file",
    "sha256",
    "rows",
    "expected",  # score on the test images, with the 95 % interval
    "expected_low",
    "expected_high",
    "cv_accuracy",  # blank, as the next three, if the competition counts something else
    "cv_low",
    "cv_high",
    "holdout_accuracy",
    "members",
    "commit",  # of the project; with + at its end if there were uncommitted changes
    "message",
    "state",  # last, so that a truncated line has no valid state
)
NUMBER = re.compile(r"-?\d+(\.\d+)?")
EXPECTED = ("expected", "expected_low", "expected_high")
_APPEND_TIMEOUT = 30.0  # seconds that another process may take to append its line

Line = dict[str, str]


def verdict(line: Line) -> str:
    """The result on Kaggle, to follow the expected score in a sentence; empty if the file was not uploaded."""
    if line["state"] == "scored" and line["expected_low"]:
        low, score, high = (float(line[name]) for name in ("expected_low", "public_score", "expected_high"))
        where = "inside" if low <= score <= high else "below" if score < low else "above"
        return f"; public score {line['public_score']}, {where} the expected interval"
    return {
        "scored": f"; public score {line['public_score']}",
        "uploading": "; it is unknown whether it has arrived: type make score",
        "uploaded": "; uploaded, not scored yet: type make score",
        "failed": f"; failed: {line['reason']}",
    }.get(line["state"], "")


def best_scored(lines: Iterable[Line], sign: int = 1) -> Line | None:
    """The line with the highest public score, with the lowest if `sign` is -1; None if there is no score."""
    scored = (line for line in lines if line["state"] == "scored")
    return max(scored, key=lambda line: sign * float(line["public_score"]), default=None)


class Ledger:
    """The file at `path`. Processes may use it in parallel and may be killed at any moment."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[Line]:
        """All lines, oldest first; a line that a killed process left unfinished is skipped.

        If a spreadsheet has made a number unreadable, the expected score and its interval are blank, and a `scored`
        line becomes `uploaded`, so that its score is requested again.
        """
        lines = [dict(zip(COLUMNS, row, strict=True)) for row in self._rows()]
        return [_restored(line) for line in lines if line["state"] in get_args(State)]

    def _rows(self) -> list[list[str]]:
        """The cells of all complete lines below the header: those of the copy, then those that only the file has.

        If the file was moved away, there are none.
        """
        if not self.path.exists():
            return []
        copied = (read_json(self._copy) or {"rows": []})["rows"]
        header, *lines = self.path.read_text(encoding="utf-8-sig", errors="replace").splitlines() or [""]
        return [*copied, *self._parsed(header, lines[len(copied) :])]

    @property
    def _copy(self) -> Path:
        """A copy for the program: no spreadsheet saves it, and it shows whether it is damaged."""
        return self.path.with_name(".ledger.json")

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        write_atomic(self.path, text.getvalue())
        write_json(self._copy, {"rows": [[*row] for row in rows]})

    def _parsed(self, header: str, lines: Sequence[str]) -> list[list[str]]:
        """The cells of complete lines."""
        if not lines:
            return []
        for separator in ",;\t":  # ours first
            if _cells(header, separator) == [*COLUMNS]:
                # line by line: no value contains a line end, and an unclosed quote must not swallow the next lines
                rows = (_cells(line, separator) for line in lines)
                return [row for row in rows if len(row) == len(COLUMNS)]
        raise UserError(f"{self.path}: unexpected columns ({header}); move it away, and a new one is made")

    def intents(self, competition: str) -> dict[str, Line]:
        """The latest line of each intent of a competition, in the order in which the intents were made."""
        return {line["intent"]: line for line in self.lines() if line["competition"] == competition}

    def append(self, entry: Mapping[str, Any], state: State, time: str) -> Line:
        """Add a line to the file; returns it. Values that are not in `entry` stay blank.

        An intent is `written` once: if two commands make the same file, the second one gets the line of the first.
        """
        line = {name: " ".join(str(entry.get(name, "")).split()) for name in COLUMNS}
        line |= {"state": state, "time": time}
        lock = self.path.with_name(".ledger.lock")
        with exclusive(lock, _APPEND_TIMEOUT, f"{self.path}: another process uses it; run the same command again"):
            if state == "written" and (known := self.intents(line["competition"]).get(line["intent"])):
                return known
            # rewrite the whole file, to restore our format after a spreadsheet has saved it
            self._write([*self._rows(), [*line.values()]])
        return line

    def submitting(
        self, timeout: float, waiting: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[None]:
        """A lock that lets one process at a time submit. timeout (seconds), waiting: see `exclusive`."""
        lock = self.path.with_name(".submitting.lock")
        return exclusive(lock, timeout, "another command is submitting; run the same command again later", waiting)


def _cells(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator), [])
    # a spreadsheet that expects semicolons reads our whole line as one cell, and may quote it
    return next(csv.reader(cells), []) if len(cells) == 1 else cells


def _restored(line: Line) -> Line:
    """A line as it was before a spreadsheet reformatted its numbers."""
    numbers = {name: line[name].replace(",", ".") for name in (*EXPECTED, "public_score")}
    numbers = {name: number if NUMBER.fullmatch(number) else "" for name, number in numbers.items()}
    if not all(numbers[name] for name in EXPECTED):
        numbers |= dict.fromkeys(EXPECTED, "")
    if line["state"] == "scored" and not numbers["public_score"]:
        numbers["state"] = "uploaded"
    line = line | numbers
    first = line["sha256"][:12]  # if it has digits only, a spreadsheet shows 1.23457E+11
    return line if line["intent"].startswith(first) else line | {"intent": first}
