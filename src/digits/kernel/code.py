"""Submits code: a script with the blend's weights, which has predicted the test file once, and which Kaggle runs again.

Kaggle runs it on the hidden test file, so the kernel is kept, as a private one. It has ended, and uses up no hours.
"""

import tempfile
from pathlib import Path

import pandas as pd

from digits.common.errors import UserError
from digits.kaggle.api import CompetitionApi
from digits.kaggle.sessions import LOG, Kernel, Sessions
from digits.kaggle.submission import share_differing
from digits.kernel.there import SUBMISSION

_SECONDS = 3600  # that the predictions may take
_DIFFERENT = 0.001  # share of predictions that may differ by the versions of libraries there


class CodeSender:
    """Sends the script as `upload.Sender`. folder: of the sessions."""

    def __init__(self, api: CompetitionApi, sessions: Sessions, script: str, folder: Path):
        self._api = api
        self._sessions = sessions
        self._script = script
        self._folder = folder
        self._kernel: Kernel | None = None

    def upload(self, path: Path) -> str:
        """Have the script predict on Kaggle, once; returns its kernel's name.

        Raises UserError unless it predicts what `path` has.
        """
        if self._kernel is None:
            with (
                self._sessions.alone(),
                self._sessions.pushed(self._script, gpu=False, internet=False, seconds=_SECONDS, keep=True) as kernel,
                tempfile.TemporaryDirectory() as temporary,
            ):
                ended = self._sessions.follow(kernel, 2)
                output = self._sessions.fetch(kernel.slug, Path(temporary))
                self._check(path, Path(temporary, SUBMISSION), ended.failure or output.error)
            self._kernel = kernel
        return self._kernel.slug

    def submit(self, token: str, message: str) -> str:
        """Submit the kernel; Kaggle then runs it on the hidden test file."""
        assert self._kernel
        return str(
            self._api.kernel_once(
                "submit_code", kernel=token, version=self._kernel.version, file=SUBMISSION, message=message
            )
        )

    def _check(self, ours: Path, theirs: Path, why: str) -> None:
        if not theirs.exists():
            raise UserError(
                f"the script has failed on Kaggle: {why or 'it does not say why'}; see {self._folder / LOG}"
            )
        share = share_differing(*(pd.read_csv(path, dtype=str, na_filter=False) for path in (ours, theirs)))
        if share is None or share > _DIFFERENT:
            different = "other ids" if share is None else f"{share:.2%} other labels"
            raise UserError(
                f"the script predicts {different} on Kaggle than here, so it is not submitted; see its log, "
                f"{self._folder / LOG}"
            )
