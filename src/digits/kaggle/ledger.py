"""The ledger: a CSV with one line per event of each intent (a planned submission, see `upload`).

Lines are only ever appended; the latest line of an intent has its present state.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, get_args

from digits.common.errors import UserError
from digits.common.files import exclusive, write_atomic

State = Literal[
    "written",  # the file exists
    "uploading",  # the upload has begun, and may have been interrupted: Kaggle's list says whether it has arrived
    "uploaded",  # Kaggle lists it
    "scored",
    "failed",  # for the line's reason
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
    "expected",  # share of right predictions among the test images, with the 95 % interval
    "expected_low",
    "expected_high",
    "cv_accuracy",
    "cv_low",
    "cv_high",
    "holdout_accuracy",
    "members",
    "commit",  # of the project; a + at its end: with uncommitted changes
    "message",
    "state",  # last, so that a truncated line has no valid state
)
_APPEND_TIMEOUT = 30.0  # seconds that another process may take to append its line

Line = dict[str, str]


def verdict(line: Line) -> str:
    """The result on Kaggle, to follow the expected score in a sentence; empty where the file was not uploaded."""
    if line["state"] == "scored":
        low, score, high = (float(line[name]) for name in ("expected_low", "public_score", "expected_high"))
        where = "inside" if low <= score <= high else "below" if score < low else "above"
        return f"; public score {line['public_score']}, {where} the interval"
    return {
        "uploading": "; whether it has arrived is not known: type make score",
        "uploaded": "; uploaded, not scored yet: type make score",
        "failed": f"; failed: {line['reason']}",
    }.get(line["state"], "")


def best_scored(lines: Iterable[Line]) -> Line | None:
    """The line of the highest public score; None where none is scored."""
    scored = (line for line in lines if line["state"] == "scored")
    return max(scored, key=lambda line: float(line["public_score"]), default=None)


class Ledger:
    """The file at `path`. Processes may use it in parallel and may be killed at any moment."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[Line]:
        """All lines, oldest first; a line that a killed process left unfinished is skipped."""
        if not self.path.exists():
            return []
        header, *rows = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if header != ",".join(COLUMNS):
            raise UserError(f"{self.path}: has other columns ({header}); move it away, and a new one is made")
        # line by line: no value contains a line end, and an unclosed quote must not swallow the next lines
        cells = (next(csv.reader([row]), []) for row in rows)
        lines = (dict(zip(COLUMNS, row, strict=True)) for row in cells if len(row) == len(COLUMNS))
        return [line for line in lines if line["state"] in get_args(State)]

    def intents(self, competition: str) -> dict[str, Line]:
        """The latest line of each intent of a competition, in the order in which the intents were made."""
        return {line["intent"]: line for line in self.lines() if line["competition"] == competition}

    def append(self, entry: Mapping[str, Any], state: State, time: str) -> Line:
        """Append a line and flush it to disk; returns it. Values that are not in `entry` stay blank."""
        line = {name: " ".join(str(entry.get(name, "")).split()) for name in COLUMNS}
        line |= {"state": state, "time": time}
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(line)
        lock = self.path.with_name(".ledger.lock")
        with exclusive(lock, _APPEND_TIMEOUT, f"{self.path}: another process uses it; type the same again"):
            self.lines()  # raises for a file with other columns
            content = text.getvalue()
            if not self.path.exists():
                write_atomic(self.path, ",".join(COLUMNS) + "\n")
            elif not self.path.read_bytes().endswith(b"\n"):
                content = "\n" + content  # after an unfinished line
            with self.path.open("ab") as file:
                file.write(content.encode())
                file.flush()
                os.fsync(file.fileno())
        return line

    def submitting(
        self, timeout: float, waiting: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[None]:
        """Lock under which one process at a time submits. timeout (seconds), waiting: as of `exclusive`."""
        lock = self.path.with_name(".submitting.lock")
        return exclusive(lock, timeout, "another command is submitting; type the same again later", waiting)
