"""Finds the competition's files: those that the user names, those in data/raw, Kaggle's archive, or the practice set.

Files that the user names are copied, or unpacked, to a folder of their own in data/raw/copies. Once the copy has passed
every check, `accept` marks it, and later commands use it without DATA. No command removes or changes a copy, because
another command may be reading it.
"""

import gzip
import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from digits.common.code_version import code_version
from digits.common.errors import UserError
from digits.common.files import atomic_folder, file_sha256, fingerprint, read_json, write_json
from digits.config import Competition, Params, Paths

PRACTICE = "practice"  # DATA=practice asks for the practice set by name
LARGEST_FILE = 4 * 2**30  # bytes when unpacked: thirty times the largest file of the competitions that this is made for
MARK = "accepted.json"  # in a copy that has passed every check: its label and provenance
_FOREIGN = (".7z", ".bz2", ".rar", ".tar", ".tar.gz", ".tgz", ".xz")

Provenance = Literal["kaggle", "local", "practice"]


@dataclass(frozen=True)
class Source:
    """The competition's files in one folder.

    label: a short name for messages. sha256: of each file, by file name; the sample submission may be missing.
    """

    provenance: Provenance
    label: str
    folder: str
    sha256: dict[str, str]

    def sizes(self) -> list[int]:
        """Bytes of each file."""
        return [(Path(self.folder) / name).stat().st_size for name in self.sha256]


def folder_name(params: Params, source: Source) -> str:
    """Name of the folder below data/processed for these params, these files and the code that prepares them."""
    decisive = {
        "files": source.sha256,
        "provenance": source.provenance,
        "competition": params.competition.model_dump(mode="json", exclude={"public_share"}),
        "split": params.data.model_dump(mode="json", exclude={"normalise"}),
        "code": code_version("data"),
    }
    return f"{params.competition.slug}-{fingerprint(decisive)}"


def find_source(competition: Competition, paths: Paths, named: str | None) -> Source:
    """The files to use: `named` by the user, else in data/raw, else an accepted copy, a download or the practice set.

    named: a path, or PRACTICE. Raises UserError if files are missing, damaged or unsafe, and if accepted copies differ.
    No existing file is changed.
    """
    if named == PRACTICE:
        return _practice(competition, paths)
    if named:
        return _from_user(Path(named).expanduser(), competition, paths)
    if place := _in_raw(competition, paths):
        return _from_user(place, competition, paths)
    if accepted := [
        _describe(folder=copy, competition=competition, **mark) for copy, mark in _accepted(competition, paths).items()
    ]:
        return _only(accepted, paths)
    if (archive := archive_of(competition, paths)).is_file():
        return _from_user(archive, competition, paths, provenance="kaggle")
    return _practice(competition, paths)


def has_files(competition: Competition, paths: Paths) -> bool:
    """Whether files of the competition are on this computer, so that no download is needed."""
    return bool(
        _in_raw(competition, paths) or _accepted(competition, paths) or archive_of(competition, paths).is_file()
    )


def archive_of(competition: Competition, paths: Paths) -> Path:
    """Path of the archive that is downloaded from Kaggle."""
    return paths.downloads / f"{competition.slug}.zip"


def _in_raw(competition: Competition, paths: Paths) -> Path | None:
    """The archive or folder that the user has put into data/raw."""
    places = (paths.raw / competition.slug, paths.raw / f"{competition.slug}.zip", paths.raw)
    names = _spellings(competition.train_file)
    return next((place for place in places if place.is_file() or any((place / name).is_file() for name in names)), None)


def _accepted(competition: Competition, paths: Paths) -> dict[Path, dict[str, Any]]:
    """The copies that have passed every check, each with its label and provenance."""
    marks = sorted(paths.copies.glob(f"*/{MARK}"))
    return {path.parent: read_json(path) for path in marks if path.parent.name.rpartition("-")[0] == competition.slug}


def _only(accepted: Sequence[Source], paths: Paths) -> Source:
    """The first of the copies. Raises UserError if their contents differ."""
    different = {tuple(source.sha256.values()): source for source in reversed(accepted)}
    if len(different) > 1:
        names = [os.path.relpath(source.folder, paths.root) for source in different.values()]
        raise UserError(
            f"earlier commands were given different files, and their copies are in {' and '.join(names)}; choose one "
            f"with DATA={names[0]}, or remove the copies that you do not need, as in rm -r {names[-1]}"
        )
    return accepted[0]


def accept(source: Source, paths: Paths) -> None:
    """Mark a copy that has passed its checks, so that later commands use it."""
    mark = Path(source.folder) / MARK
    if mark.parent.parent == paths.copies.resolve() and not mark.exists():
        write_json(mark, {"label": source.label, "provenance": source.provenance})


def _spellings(name: str) -> tuple[str, str]:
    return name, f"{name}.gz"


def _describe(provenance: Provenance, label: str, folder: Path, competition: Competition) -> Source:
    """The Source of the plain files of `folder`; the sample submission may be missing."""
    names = list(_parts(folder, competition))
    return Source(provenance, label, str(folder.resolve()), {name: file_sha256(folder / name) for name in names})


def _parts(folder: Path, competition: Competition, train: Path | None = None) -> dict[str, Path]:
    """The competition's files in `folder`, plain or .gz, by name. train: the training file, if it is another one."""
    found = {}
    for name in (competition.train_file, competition.test_file, competition.sample_file):
        if path := next((folder / each for each in _spellings(name) if (folder / each).is_file()), None):
            found[name] = path
    if train:
        found[competition.train_file] = train
    missing = [name for name in (competition.train_file, competition.test_file) if name not in found]
    if missing:
        raise UserError(
            f"{folder}: there is no {' and no '.join(missing)}; put the competition's files there, or use DATA=path"
        )
    return found


def _practice(competition: Competition, paths: Paths) -> Source:
    from digits.data.practice import practice_files  # noqa: PLC0415 - the import takes a second

    files = practice_files(competition)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    target = paths.practice / f"{competition.slug}-{fingerprint(hashes)}"
    if not target.is_dir():
        with atomic_folder(target) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    return _describe("practice", "practice set", target, competition)


def _from_user(place: Path, competition: Competition, paths: Paths, provenance: Provenance = "local") -> Source:
    """Files that the user named or put into data/raw; plain files in data/raw are used in place, others are copied."""
    if place.name.endswith(_FOREIGN):
        raise UserError(f"{place}: only zip and gz files can be opened; unpack it, then use DATA=folder")
    if not place.exists():
        raise UserError(
            f"DATA={place}: no such file or folder; give a zip, a folder, or a training file next to a test file"
        )
    parts: dict[str, Path] = {}
    if _is_zip(place):
        content = file_sha256(place)
    else:
        parts = _parts(place, competition) if place.is_dir() else _parts(place.parent, competition, train=place)
        inside = place.resolve().is_relative_to(paths.raw.resolve())
        if inside and all(path.name == name for name, path in parts.items()):
            label = paths.raw.relative_to(paths.root) / place.resolve().relative_to(paths.raw.resolve())
            return _describe("local", str(label), place if place.is_dir() else place.parent, competition)
        content = fingerprint({name: file_sha256(path) for name, path in parts.items()})
    target = paths.copies / f"{competition.slug}-{content[:12]}"
    if not target.is_dir():
        with atomic_folder(target) as folder:
            if _is_zip(place):
                _unpack_zip(place, folder, competition)
            for name, part in parts.items():
                _unpack_part(part, folder / name)
    return _describe(provenance, place.name, target, competition)


def _is_zip(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def _unpack_part(part: Path, target: Path) -> None:
    """Copy a file; unpack it if its first bytes are those of gzip."""
    with part.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if not packed:
        shutil.copyfile(part, target)
        return
    try:
        with gzip.open(part) as opened, target.open("wb") as file:
            while block := opened.read(2**20):
                if file.tell() > LARGEST_FILE:
                    raise UserError(f"{part}: unpacked, it exceeds the limit of 4 GiB; use other files with DATA=path")
                file.write(block)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{part}: the file is damaged or cut short ({error}); download it again") from None


def _unpack_zip(archive: Path, folder: Path, competition: Competition) -> None:
    """Unpack the competition's files and no others, each to `folder` itself, whatever its path in the archive."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in (competition.train_file, competition.test_file, competition.sample_file):
                matches = [each for each in opened.infolist() if PurePosixPath(each.filename).name == name]
                if not matches and name == competition.sample_file:
                    continue
                if len(matches) != 1:
                    count = "no" if not matches else "more than one"
                    raise UserError(f"{archive}: it contains {count} {name}; use another archive with DATA=path")
                _check_member(archive, matches[0])
                with opened.open(matches[0]) as packed, (folder / name).open("wb") as file:
                    shutil.copyfileobj(packed, file, length=2**20)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        with archive.open("rb") as file:
            start = file.read(512).lstrip().lower()
        kind = "a web page, saved as a zip" if start.startswith((b"<!doctype", b"<html")) else "damaged or cut short"
        raise UserError(f"{archive}: the file is {kind} ({error}); download it again") from None


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{archive}: {member.filename} is a link, not a file; download the archive again")
    if member.flag_bits & 1:
        raise UserError(f"{archive}: {member.filename} is encrypted; unpack the archive, then use DATA=folder")
    if member.file_size > LARGEST_FILE:
        raise UserError(
            f"{archive}: {member.filename} takes {member.file_size / 2**30:.1f} GiB unpacked; the limit is 4 GiB; "
            "use other files with DATA=path"
        )
