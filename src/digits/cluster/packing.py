"""Sealed folders as bytes, for the way to a worker and back."""

from pathlib import Path

from digits.common.errors import UserError
from digits.common.files import atomic_folder, file_sha256
from digits.common.sealed import MANIFEST, checksum, save_folder, sums

Files = dict[str, bytes]  # content by path in the folder


def name_of(folder: Path) -> str:
    """Hash of the hashes of all files of a sealed folder: equal names mean equal content."""
    return checksum(sums(folder))


def packed(folder: Path) -> Files:
    """The files of a sealed folder; those that were added later are left out."""
    return {name: (folder / name).read_bytes() for name in (MANIFEST, *(sums(folder) or ()))}


def packed_below(results: Path) -> dict[str, Files]:
    """All sealed folders below one, by their path there."""
    folders = sorted(path.parent for path in results.rglob(MANIFEST))
    return {folder.relative_to(results).as_posix(): packed(folder) for folder in folders}


def unpack(files: Files, folder: Path) -> None:
    """Write the files below an existing folder. Raises UserError if they are not what their manifest says."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, known in (sums(folder) or {"a file": ""}).items():
        if not (folder / name).exists() or file_sha256(folder / name) != known:
            raise UserError(f"{name} was damaged on its way; type the same command again")


def received(files: Files, name: str, target: Path) -> None:
    """Make the folder `target`, complete or not at all, if it is not there. name: of its content, as `name_of` says.

    Raises UserError if the files are others.
    """
    if target.is_dir():
        return
    with atomic_folder(target) as folder:
        unpack(files, folder)
        if name_of(folder) != name:
            raise UserError("other arrays have arrived than were asked for; type the same command again")


def place(files: Files, target: Path) -> None:
    """Save a folder that has come back as a fit on this machine saves its own."""

    def fill(folder: Path) -> None:
        unpack(files, folder)
        (folder / MANIFEST).unlink()  # it is written again, last, with the same content

    save_folder(target, fill)
