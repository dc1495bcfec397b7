"""Submits code: a script with the blend's weights, which has predicted the test file once, and which Kaggle runs again.

Kaggle runs it on the hidden test file, so the kernel is kept, as a private one. It has ended, and uses up no hours.
"""

import tempfile
from dataclasses import dataclass
from importlib.metadata import files as distribution_files
from pathlib import Path

import pandas as pd

from digits.common.errors import UserError
from digits.ensemble.application import FittedBlend
from digits.kaggle.api import CompetitionApi
from digits.kaggle.sessions import Kernel, Sessions
from digits.kaggle.submission import share_differing
from digits.kernel.there import RUNS, SUBMISSION

_NOT_NEEDED = {"probabilities.npz", "history.jsonl", "metrics.json", "manifest.json", "made.json"}  # to predict
_SECONDS = 3600  # that the predictions may take
_DIFFERENT = 0.001  # share of predictions that may differ by the versions of libraries there


def files_of(found: FittedBlend, runs: Path) -> dict[str, Path]:
    """The files that `predicting.predict` needs of a blend, by their path in the script's folder."""
    name = found.blend.name
    files = [runs / name / "blend.json", runs / name / "about.json"]
    for units in found.used.values():
        files.append(units[0].folder.parent / "run.json")
        files += [path for unit in units for path in unit.folder.iterdir() if path.name not in _NOT_NEEDED]
    keras = (each for each in distribution_files("keras") or () if each.suffix == ".py" or each.name == "METADATA")
    sent = {str(each): Path(str(each.locate())) for each in keras}  # no session has internet, and Kaggle's is too old
    return sent | {f"{RUNS}/{path.relative_to(runs)}": path for path in files}


@dataclass
class CodeSender:
    """Sends the script, as `upload.Sender`. log: of its session. kernel: once it has predicted."""

    api: CompetitionApi
    sessions: Sessions
    script: str
    log: Path
    kernel: Kernel | None = None

    def upload(self, path: Path) -> str:
        """Have the script predict on Kaggle, once; returns its kernel's name.

        Raises UserError unless it predicts what the CSV `path` has.
        """
        if self.kernel is None:
            with (
                self.sessions.alone(),
                self.sessions.pushed(self.script, gpu=False, internet=False, seconds=_SECONDS, keep=True) as kernel,
                tempfile.TemporaryDirectory() as folder,
            ):
                ended = self.sessions.follow(kernel, 2)
                output = self.sessions.fetch(kernel.slug, Path(folder))
                if fault := _difference(path, Path(folder, SUBMISSION)):
                    why = ended.failure or output.error or fault
                    raise UserError(f"the script is not submitted: {why}; the log of its session is {self.log}")
            self.kernel = kernel
        return self.kernel.slug

    def submit(self, token: str, message: str) -> str:
        """Submit the kernel; Kaggle then runs it on the hidden test file."""
        assert self.kernel
        given = {"kernel": token, "version": self.kernel.version, "file": SUBMISSION, "message": message}
        return str(self.api.kernel_once("submit_code", **given))


def _difference(ours: Path, theirs: Path) -> str:
    """What is wrong with a submission made on Kaggle; "" if it is that made here."""
    if not theirs.exists():
        return "it has predicted nothing on Kaggle"
    frames = (pd.read_csv(path, dtype=str, na_filter=False) for path in (ours, theirs))
    share = share_differing(*(frame.sort_values(frame.columns[0]) for frame in frames))  # there as in the test file
    if share is None:
        return "it has predicted other ids on Kaggle"
    return f"{share:.2%} of its predictions on Kaggle are not those made here" if share > _DIFFERENT else ""
