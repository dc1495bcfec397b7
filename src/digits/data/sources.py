"""Finds the competition's files: those that the user names, those in data/raw, Kaggle's archive, or the practice set.

Files that the user names are copied, or unpacked, to a folder of their own in data/raw/copies. Once the copy has passed
every check, `accept` marks it, and later commands use it without DATA. No command removes or changes a copy, because
another command may be reading it.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from digits.common.code_version import code_version
from digits.common.disk import check_room
from digits.common.errors import MisfitError, UserError
from digits.common.files import file_sha256, fingerprint
from digits.common.sealed import DAMAGED, intact, read_json, sealed_folder, set_aside, sums, write_json
from digits.config import Competition, Params, Paths
from digits.data.places import Member, Place, find, place_of, tables

PRACTICE = "practice"  # DATA=practice asks for the practice set by name
_NEEDED = "the competition's files are needed again"  # where their copy is damaged
MARK = "accepted.json"  # in a copy that has passed every check: its label and provenance

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


def find_source(competition: Competition, paths: Paths, named: str | None, provenance: Provenance = "local") -> Source:
    """The files to use: `named` by the user, else in data/raw, else an accepted copy, a download or the practice set.

    named: a path, or PRACTICE. provenance: of what is named. Raises UserError if files are missing, damaged or unsafe,
    and if accepted copies differ. No existing file is changed.
    """
    if named == PRACTICE:
        return _practice(competition, paths)
    if named:
        return _from_user(named, competition, paths, provenance)
    if place := _in_raw(competition, paths):
        return _from_user(str(place), competition, paths)
    if accepted := [
        _describe(folder=copy, competition=competition, **mark) for copy, mark in _accepted(competition, paths).items()
    ]:
        return _only(accepted, paths)
    if (archive := archive_of(competition, paths)).is_file():
        return _from_user(str(archive), competition, paths, provenance="kaggle")
    if damaged := sorted(paths.copies.glob(f"{DAMAGED}{competition.slug}-*")):
        raise UserError(
            f"{os.path.relpath(damaged[-1], paths.root)}: this copy of the competition's files is damaged; type the "
            f"same command with DATA=path/to/{competition.slug}.zip, or with DATA=practice"
        )
    return _practice(competition, paths)


def named_place(named: str, paths: Paths) -> Place:
    """The tables of the path that the user names; raises UserError as `place_of` does."""
    # the folders of data/raw itself hold copies, downloads and the practice set
    return place_of(named, deep=Path(named).expanduser().resolve() != paths.raw.resolve())


def has_files(competition: Competition, paths: Paths) -> bool:
    """Whether files of the competition are on this computer, so that no download is needed."""
    return bool(_in_raw(competition, paths) or _marks(competition, paths) or archive_of(competition, paths).is_file())


def archive_of(competition: Competition, paths: Paths) -> Path:
    """Path of the archive that is downloaded from Kaggle."""
    return paths.downloads / f"{competition.slug}.zip"


def _in_raw(competition: Competition, paths: Paths) -> Path | None:
    """The archive or folder that the user has put into data/raw."""
    folder, archive = paths.raw / competition.slug, paths.raw / f"{competition.slug}.zip"
    if folder.is_dir() or archive.is_file():
        return folder if folder.is_dir() else archive
    return paths.raw if paths.raw.is_dir() and find(tables(paths.raw, deep=False), competition.train_file) else None


def _accepted(competition: Competition, paths: Paths) -> dict[Path, dict[str, Any]]:
    """The copies that have passed every check, each with its label and provenance; damaged ones are set aside."""
    accepted = {}
    for mark in _marks(competition, paths):
        copy = mark.parent
        if intact(copy, _NEEDED):
            if content := read_json(mark):
                accepted[copy] = content
            else:
                set_aside(copy, f"{MARK} is lost", _NEEDED)
    return accepted


def _marks(competition: Competition, paths: Paths) -> list[Path]:
    """The marks of copies that have the files which the params name, as far as it is known what they had."""
    marks, needed = sorted(paths.copies.glob(f"[!.]*/{MARK}")), {*competition.needed_files}
    own = (mark for mark in marks if mark.parent.name.rpartition("-")[0] == competition.slug)
    return [mark for mark in own if needed <= {*(sums(mark.parent) or needed)}]


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


def _describe(provenance: Provenance, label: str, folder: Path, competition: Competition) -> Source:
    """The Source of the plain files of `folder`; the sample submission may be missing."""
    names = list(_parts(competition, Place(folder, folder, tables(folder, deep=False))))
    known = sums(folder) or {}  # of a copy, which was checked
    sha256 = {name: known.get(name) or file_sha256(folder / name) for name in names}
    return Source(provenance, label, str(folder.resolve()), sha256)


def _parts(competition: Competition, place: Place) -> dict[str, Member]:
    """The competition's files by the names that they have in the params. Raises MisfitError if one is missing."""
    roles = [name for name in (competition.train_file, competition.test_file) if name]
    found = dict(zip(roles, place.given, strict=False))
    found |= {name: member for name in competition.files if name not in found and (member := find(place.members, name))}
    missing = [name for name in competition.needed_files if name not in found]
    if missing:
        raise MisfitError(
            f"{place.path}: there is no {' and no '.join(missing)}; put the competition's files there, or use DATA=path"
        )
    return found


def _practice(competition: Competition, paths: Paths) -> Source:
    from digits.data.practice import practice_files  # noqa: PLC0415 - the import takes a second

    files = practice_files(competition)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    target = paths.practice / f"{competition.slug}-{fingerprint(hashes)}"
    if not intact(target):
        with sealed_folder(target) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    return _describe("practice", "practice set", target, competition)


def _from_user(named: str, competition: Competition, paths: Paths, provenance: Provenance = "local") -> Source:
    """Files that the user named or put into data/raw; plain files in data/raw are used in place, others are copied."""
    place = named_place(named, paths)
    parts = _parts(competition, place)
    raw, here = paths.raw.resolve(), place.folder
    if here.resolve().is_relative_to(raw) and all(part.file == here / name for name, part in parts.items()):
        label = paths.raw.relative_to(paths.root) / place.path.resolve().relative_to(raw)
        return _describe("local", str(label), here, competition)
    packed = {file: file_sha256(file) for file in {part.file for part in parts.values()}}
    content = fingerprint({name: [packed[part.file], *part.inside] for name, part in parts.items()})
    target = paths.copies / f"{competition.slug}-{content[:12]}"
    if not intact(target):
        check_room(paths.copies, sum(part.size for part in parts.values()), f"the files of {place.path.name}")
        with sealed_folder(target) as copy:
            for name, part in parts.items():
                part.copy_to(copy / name)
    return _describe(provenance, place.path.name, target, competition)
