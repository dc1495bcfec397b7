"""`digits init`: the folder of a competition, for whoever has installed the package and has no checkout."""

import shlex
from importlib.resources import files
from pathlib import Path

import click

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import write_atomic

FILES = (
    "Makefile",
    "params.yaml",
    "params.fashion-mnist.yaml",
    "params.gpu.yaml",
    "data/README.md",
    "submissions/README.md",
    ".gitignore",
)


@click.command("init", short_help="look at the files of any competition, DATA, and write the params that fit them")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--data",
    metavar="PATH",
    help="Zip or folder with the files of any competition of images in CSVs, "
    "training and test file with a comma between, or kaggle:SLUG. params.<name>.yaml is written for them.",
)
def init(folder: Path, data: str | None) -> int:
    """Make FOLDER, or the current one, ready for a competition.

    It gets params.yaml, a Makefile, data/ and submissions/. Files that are there already are kept. With --data it also
    gets the params that fit these files.
    """
    written = [name for name in FILES if _write(folder / name, name)]
    if data:
        from digits.cli.describe import describe  # noqa: PLC0415 - the help need not wait for it

        describe(folder, data, Console())
        return 0
    for name in FILES:
        click.echo(f"{'wrote' if name in written else 'kept'}  {folder / name}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"\nNext:\n  {enter}digits submit --data practice   tries everything on small practice images")
    click.echo(f"  {enter}digits submit --data FILE.zip   uses the files of your competition")
    return 0


def _write(path: Path, name: str) -> bool:
    """Write a file of the project's folder where there is none yet; returns whether it was written."""
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _content(name))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror}; name another folder: digits init FOLDER"
        ) from None
    return True


def _content(name: str) -> bytes:
    """A file as the package has it; in a checkout, which is not built, it lies in the checkout itself."""
    packaged = files("digits") / "project" / name
    return packaged.read_bytes() if packaged.is_file() else Path(__file__).parents[3].joinpath(name).read_bytes()
