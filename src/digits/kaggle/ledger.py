"""The ledger: what has become of each submission that was intended.

A line is added whenever that changes, and none is ever changed. The latest line of an intent says where it stands.
"""

import csv
import io
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from digits.common.errors import UserError
from digits.common.files import alone, write_atomic

State = Literal[
    "written",  # the file is there
    "uploading",  # it is about to be sent, or was when the program ended: Kaggle's list says whether it has arrived
    "uploaded",  # Kaggle lists it
    "scored",
    "failed",  # for the reason given
]

COLUMNS = (
    "time",  # of this line, UTC, ISO 8601
    "intent",  # part of the message that no other submission has
    "public_score",
    "reason",  # of a failure, in words
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
    "commit",  # of the project; + behind it: with changes that are not committed
    "message",
    "state",  # last, so that a line that was cut short has none that is known
)
_STATES = ("written", "uploading", "uploaded", "scored", "failed")
_SECONDS = 30.0  # that another process may take to add its line

Line = dict[str, str]


def verdict(line: Line) -> str:
    """What has become of it on Kaggle, in words to put behind its estimate; nothing where it was not sent."""
    if line["state"] == "scored":
        low, score, high = (float(line[name]) for name in ("expected_low", "public_score", "expected_high"))
        where = "inside" if low <= score <= high else "below" if score < low else "above"
        return f"; public score {line['public_score']}, {where} the interval"
    return {
        "uploading": "; whether it has arrived is not known: make score looks",
        "uploaded": "; uploaded, not scored yet: type make score",
        "failed": f"; failed: {line['reason']}",
    }.get(line["state"], "")


class Ledger:
    """The file at `path`; any number of processes may use it, and each of them may be killed at any moment."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[Line]:
        """All lines, oldest first; what a killed process has left unfinished is passed over."""
        if not self.path.exists():
            return []
        header, *rows = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if header != ",".join(COLUMNS):
            raise UserError(f"{self.path}: has other columns ({header}); move it away, a new one is begun")
        # each by itself: no value has a line end in it, and an unfinished quote must not swallow what follows
        cells = (next(csv.reader([row]), []) for row in rows)
        found = (dict(zip(COLUMNS, row, strict=True)) for row in cells if len(row) == len(COLUMNS))
        return [line for line in found if line["state"] in _STATES]

    def intents(self, competition: str) -> dict[str, Line]:
        """The latest line of each intent of a competition, in the order in which they were made."""
        return {line["intent"]: line for line in self.lines() if line["competition"] == competition}

    def append(self, entry: Mapping[str, Any], state: State, time: str) -> Line:
        """Add a line about an intent, in one piece, flushed to disk; values missing from `entry` stay blank."""
        line = {name: " ".join(str(entry.get(name, "")).split()) for name in COLUMNS}
        line |= {"state": state, "time": time}
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(line)
        with alone(self.path.with_name(".ledger.lock"), _SECONDS, f"{self.path}: is held by another process"):
            self.lines()  # refuses a file of other columns
            content = text.getvalue()
            if not self.path.exists():
                write_atomic(self.path, ",".join(COLUMNS) + "\n")
            elif not self.path.read_bytes().endswith(b"\n"):
                content = "\n" + content  # behind what was left unfinished
            with self.path.open("ab") as file:
                file.write(content.encode())
                file.flush()
                os.fsync(file.fileno())
        return line

    def submitting(
        self, seconds: float, waiting: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[None]:
        """Only one process at a time talks to Kaggle about what is to be sent; waits for the other so long.

        waiting: as of `alone`.
        """
        lock = self.path.with_name(".submitting.lock")
        return alone(lock, seconds, "another command is submitting; type the same again later", waiting)
