"""Where the competition's files come from: what the user names, data/raw, or the practice set.

Files that the user names are copied to data/raw/<slug>/ once, so that later commands need not name them again.
"""

import gzip
import shutil
import stat
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from digits.config import Competition, Paths
from digits.errors import UserError
from digits.files import atomic_folder, file_sha256, fingerprint, read_json, write_atomic, write_json
from digits.practice import practice_files

PRACTICE = "practice"  # DATA=practice asks for the practice set by name
LARGEST_FILE = 4 * 2**30  # bytes unpacked: thirty times the largest file of the competitions that this is made for
_FOREIGN = (".7z", ".bz2", ".rar", ".tar", ".tar.gz", ".tgz", ".xz")
_ORIGIN = "origin.json"  # marks a folder below data/raw as our copy, and says of what

Provenance = Literal["kaggle", "local", "practice"]


@dataclass(frozen=True)
class Source:
    """The competition's files.

    label: how to speak of them. sha256: hash of each file's bytes, by file name; without a sample submission where
    there is none.
    """

    provenance: Provenance
    label: str
    folder: str
    sha256: dict[str, str]


def find_source(competition: Competition, paths: Paths, named: str | None) -> Source:
    """The files to use, in this order: `named` by the user, data/raw, the practice set.

    Raises UserError where named files are missing, damaged or unsafe; what is in data/raw stays as it was.
    """
    if named == PRACTICE:
        return _practice(competition, paths)
    if named:
        return _copy(Path(named).expanduser(), paths.raw / competition.slug, competition)
    return _in_raw(competition, paths) or _practice(competition, paths)


def _in_raw(competition: Competition, paths: Paths) -> Source | None:
    """What lies in data/raw: a folder named after the competition, Kaggle's zip, or the files themselves."""
    copied, flat = paths.raw / competition.slug, paths.raw
    if (copied / competition.train_file).exists():
        label = (read_json(copied / _ORIGIN) or {}).get("name", f"data/raw/{competition.slug}")
        return _describe("local", label, copied, competition)
    if (dropped := flat / f"{competition.slug}.zip").exists():
        return _copy(dropped, copied, competition)
    if (flat / competition.train_file).exists():
        return _describe("local", "data/raw", flat, competition)
    return None


def save_source(path: Path, source: Source) -> bool:
    """Write the source down for the later stages; returns whether it differs from the one before."""
    if read_json(path) == asdict(source):
        return False
    write_json(path, asdict(source))
    return True


def load_source(path: Path) -> Source:
    """What `save_source` wrote."""
    content = read_json(path)
    if content is None:
        raise UserError("no data has been looked for yet; type: make data")
    return Source(**content)


def _describe(provenance: Provenance, label: str, folder: Path, competition: Competition) -> Source:
    """The plain files of `folder`; the sample submission may be missing."""
    names = list(_parts(folder, competition))
    return Source(provenance, label, str(folder.resolve()), {name: file_sha256(folder / name) for name in names})


def _parts(folder: Path, competition: Competition, train: Path | None = None) -> dict[str, Path]:
    """The competition's files in `folder`, by their proper names, as they are or with .gz behind; `train` if given."""
    found = {}
    for name in (competition.train_file, competition.test_file, competition.sample_file):
        candidates = [folder / name, folder / f"{name}.gz"]
        if path := next((path for path in candidates if path.is_file()), None):
            found[name] = path
    if train:
        found[competition.train_file] = train
    missing = [name for name in (competition.train_file, competition.test_file) if name not in found]
    if missing:
        raise UserError(
            f"{folder}: {' and '.join(missing)} missing; put the competition's files there, or name others with DATA="
        )
    return found


def _practice(competition: Competition, paths: Paths) -> Source:
    for name, content in practice_files(competition).items():
        path = paths.practice / name
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
    return _describe("practice", "practice set", paths.practice, competition)


def _copy(named: Path, target: Path, competition: Competition) -> Source:
    """Copy what the user names to `target`, unpacked, unless it is there already."""
    if target.resolve() == named.resolve():
        return _describe("local", named.name, target, competition)
    if target.exists() and not (target / _ORIGIN).exists():
        raise UserError(
            f"{target} holds files that you put there; move them away to use DATA={named}, or leave DATA= out"
        )
    if named.name.endswith(_FOREIGN):
        raise UserError(f"{named}: only zip and gz are opened here; unpack it and name the folder with DATA=")
    if _is_zip(named):
        origin = {"name": named.name, "sha256": file_sha256(named)}
    elif named.exists():
        parts = _parts(named, competition) if named.is_dir() else _parts(named.parent, competition, train=named)
        origin = {"name": named.name, "sha256": fingerprint({name: file_sha256(path) for name, path in parts.items()})}
    else:
        raise UserError(
            f"DATA={named}: no such file or folder; name a zip, a folder, or a training file beside a test file"
        )
    if read_json(target / _ORIGIN) != origin:
        with atomic_folder(target) as folder:
            if _is_zip(named):
                _unpack_zip(named, folder, competition)
            else:
                for name, part in parts.items():
                    _unpack_part(part, folder / name)
            write_json(folder / _ORIGIN, origin)
    return _describe("local", named.name, target, competition)


def _is_zip(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))


def _unpack_part(part: Path, target: Path) -> None:
    """Copy a file, unpacking it where its first bytes are gzip's."""
    with part.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if not packed:
        shutil.copyfile(part, target)
        return
    try:
        with gzip.open(part) as opened, target.open("wb") as file:
            while block := opened.read(2**20):
                if file.tell() > LARGEST_FILE:
                    raise UserError(f"{part}: would take more than the limit of 4 GiB")
                file.write(block)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{part}: is damaged or cut short ({error}); download it again") from None


def _unpack_zip(archive: Path, folder: Path, competition: Competition) -> None:
    """Unpack the competition's files alone; where they stand in the archive has no say in where they go."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in (competition.train_file, competition.test_file, competition.sample_file):
                matches = [each for each in opened.infolist() if PurePosixPath(each.filename).name == name]
                if not matches and name == competition.sample_file:
                    continue
                if len(matches) != 1:
                    count = "no" if not matches else "more than one"
                    raise UserError(f"{archive}: holds {count} {name}; is it the competition's archive?")
                _check_member(archive, matches[0])
                with opened.open(matches[0]) as packed, (folder / name).open("wb") as file:
                    shutil.copyfileobj(packed, file, length=2**20)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        with archive.open("rb") as file:
            start = file.read(512).lstrip().lower()
        kind = "a web page, saved as a zip" if start.startswith((b"<!doctype", b"<html")) else "damaged or cut short"
        raise UserError(f"{archive}: is {kind} ({error}); download it again") from None


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{archive}: {member.filename} is a link, not a file; download the archive again")
    if member.flag_bits & 1:
        raise UserError(f"{archive}: {member.filename} is encrypted; unpack the archive and name the folder with DATA=")
    if member.file_size > LARGEST_FILE:
        raise UserError(
            f"{archive}: {member.filename} would take {member.file_size / 2**30:.1f} GiB; the limit is 4 GiB"
        )
