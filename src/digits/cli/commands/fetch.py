"""Find the competition's files, or download them."""

import zipfile
import zlib

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import exclusive
from digits.data.sources import archive_of, has_files
from digits.kaggle.credentials import NEW_TOKEN
from digits.kaggle.failures import KaggleError

_LONGEST = 3600.0  # seconds that another command may take to download the same


def run(context: Context) -> Outcome:
    """Find the files that this command uses, copying them where they are packed or lie elsewhere.

    Where there are none, and there are Kaggle credentials, the competition's archive is downloaded.
    """
    known = set(context.paths.copies.glob("*"))
    slug = context.params.competition.slug
    missing = not context.named and not has_files(context.params.competition, context.paths)
    if missing and context.params.submit.upload and context.kaggle.credentials:
        _download(context)
    if context.source.provenance == "practice":
        context.console.warn(
            "PRACTICE: small stand-in digits, not the competition's. "
            "Scores mean nothing on Kaggle, nothing is uploaded.\n"
            f"For the real ones: make submit DATA=path/to/{slug}.zip (kaggle.com/c/{slug}/data); or {NEW_TOKEN}, "
            "and they are downloaded"
        )
    return Outcome(context.source.label, set(context.paths.copies.glob("*")) != known)


def _download(context: Context) -> None:
    """Fetch the archive to data/raw/kaggle, where it appears whole and checked, or not at all."""
    target = archive_of(context.params.competition, context.paths)
    partial = target.parent / ".partial"
    with exclusive(
        partial.parent / ".lock",
        _LONGEST,
        "another command is downloading the same; type the same again later",
        lambda: context.console.waiting("another command, which is downloading the same"),
    ):
        if target.exists():
            return
        try:
            found = context.kaggle.download(partial)
        except KaggleError as error:
            raise UserError(f"{error}\nwithout Kaggle: DATA=path/to/files, or DATA=practice for stand-ins") from None
        try:
            with zipfile.ZipFile(found) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            damaged = str(error)
        if damaged:
            found.unlink()
            raise UserError(
                f"what Kaggle sent is no whole archive ({damaged}); type the same again to download it anew"
            )
        found.replace(target)
