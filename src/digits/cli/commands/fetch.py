"""Find the competition's files, or download them."""

import zipfile
import zlib

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import exclusive
from digits.data.sources import archive_of, has_files
from digits.kaggle.credentials import NEW_TOKEN
from digits.kaggle.failures import KaggleError

_LOCK_TIMEOUT = 3600.0  # seconds; another command may be downloading the same archive


def run(context: Context) -> Outcome:
    """Find the competition's files; unpack or copy them to data/raw/copies unless they are plain files in data/raw.

    Without files, download them if there are Kaggle credentials, and use practice images if there are none.
    """
    with context.fitting_files():
        return _run(context)


def _run(context: Context) -> Outcome:
    copies = set(context.paths.copies.glob("*"))
    slug = context.params.competition.slug
    missing = not context.data_path and not has_files(context.params.competition, context.paths)
    if missing and context.params.submit.upload and context.kaggle.credentials:
        download(context)
    if context.source.provenance == "practice":
        context.console.warn(
            "PRACTICE: these are small images from scikit-learn, not the competition's. "
            "Their scores mean nothing on Kaggle, and nothing is uploaded.\n"
            f"For the real ones, download {slug}.zip from kaggle.com/c/{slug}/data, then type: "
            f"make submit DATA=path/to/{slug}.zip; or {NEW_TOKEN}, and make submit downloads it"
        )
    return Outcome(context.source.label, set(context.paths.copies.glob("*")) != copies)


def download(context: Context) -> None:
    """Download the archive to data/raw/kaggle; it gets its final name once it is complete and has been checked."""
    target = archive_of(context.params.competition, context.paths)
    partial = target.parent / ".partial"
    with exclusive(
        partial.parent / ".lock",
        _LOCK_TIMEOUT,
        "another command is downloading the same archive; run the same command again later",
        lambda: context.console.status("waiting for another command that is downloading the same archive"),
    ):
        if target.exists():
            return
        try:
            downloaded = context.kaggle.download(partial)
        except KaggleError as error:
            raise UserError(f"{error}\nto go on without Kaggle, add DATA=path/to/files or DATA=practice") from None
        try:
            with zipfile.ZipFile(downloaded) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            damaged = str(error)
        if damaged:
            downloaded.unlink()
            raise UserError(f"Kaggle sent a damaged archive ({damaged}); run the same command again for a new one")
        downloaded.replace(target)
