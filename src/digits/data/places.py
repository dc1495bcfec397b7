"""The tables in a folder, in an archive or beside a file, whatever they are packed in."""

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from digits.common.errors import UserError
from digits.data.csv_header import what_it_is

if TYPE_CHECKING:
    import pandas as pd

LARGEST_FILE = 4 * 2**30  # bytes when unpacked: thirty times the largest file of the competitions that this is made for
_TABLES = (".csv", ".parquet")
_PACKED = (".gz", ".zip")
_FOREIGN = (".7z", ".bz2", ".rar", ".tar", ".tar.gz", ".tgz", ".xz")
_DEPTH = 3  # folders below the one that the user names
# the last two: another way to compress, a name in another alphabet than it says
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError)


@dataclass(frozen=True)
class Member:
    """A table in a folder or an archive.

    file: on the disk. inside: its name in the archive `file`; two names for an archive in an archive.
    """

    file: Path
    inside: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ": ".join((str(self.file), *self.inside))

    @property
    def name(self) -> str:
        """Its own name, without what it is packed in: train.csv of folder/train.csv.gz."""
        name = PurePosixPath((self.inside or (self.file.name,))[-1].replace("\\", "/")).name
        return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in _PACKED else name

    @property
    def depth(self) -> int:
        """Number of folders and archives around it."""
        return len(self.file.parts) + sum(len(PurePosixPath(part).parts) for part in self.inside)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked. Raises UserError if an archive is damaged, encrypted or unsafe."""
        with ExitStack() as stack, _named_damage(self.file):
            stream, _ = self._opened(stack)
            if _is_gzip(stream):
                stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))
            yield stream

    @property
    def size(self) -> int:
        """Its bytes, unpacked from zip files, as they say. Raises UserError as `open` does."""
        with ExitStack() as stack, _named_damage(self.file):
            return self._opened(stack)[1]

    def _opened(self, stack: ExitStack) -> tuple[IO[bytes], int]:
        """Its bytes, unpacked from zip files, and how many. zipfile reads no more of a member than the archive says."""
        stream: IO[bytes] = stack.enter_context(self.file.open("rb"))
        size = self.file.stat().st_size
        for part in self.inside:
            archive = stack.enter_context(zipfile.ZipFile(stream))
            info = archive.getinfo(part)
            _check_member(self.file, info)
            stream, size = stack.enter_context(archive.open(info)), info.file_size
        return stream, size

    def _blocks(self) -> Iterator[bytes]:
        """Its bytes, unpacked, in parts. Raises UserError if there are more than LARGEST_FILE."""
        done = 0
        with self.open() as stream:
            while block := stream.read(2**20):
                if (done := done + len(block)) > LARGEST_FILE:
                    raise UserError(f"{self}: unpacked, it exceeds the limit of 4 GiB; use other files with DATA=path")
                yield block

    def copy_to(self, target: Path) -> None:
        """Write the table to `target`, unpacked, and as a CSV. Raises UserError as `open` does."""
        if self.name.lower().endswith(".parquet"):
            read_parquet(self).to_csv(target, index=False, lineterminator="\n")
            return
        with target.open("wb") as file:
            file.writelines(self._blocks())

    def sha256(self) -> str:
        """Of the unpacked bytes, in hex."""
        digest = sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Place:
    """What the user means by DATA.

    path: the zip, folder or training file. folder: where it lies, or itself. members: the tables there. given: the
    training file, and the test file, if they were named one by one.
    """

    path: Path
    folder: Path
    members: list[Member]
    given: tuple[Member, ...] = ()


def place_of(named: str, *, deep: bool = True) -> Place:
    """The tables of a zip, a folder, a training file with its neighbours, or "training file,test file".

    deep: whether to look into folders and archives below a folder. Raises UserError as `tables` does.
    """
    path = Path(named).expanduser()
    parts = [path] if path.exists() else [Path(part).expanduser() for part in named.split(",")]
    if len(parts) == 1 or not all(part.is_file() for part in parts):
        parts = [path]
    members = [member for part in parts for member in tables(part, deep=deep)]
    if path.is_dir() or any(member.inside for member in members) or not members:
        return Place(path, path if path.is_dir() else path.parent, members)
    folder = parts[0].parent
    return Place(parts[0], folder, members if len(parts) > 1 else tables(folder, deep=False), tuple(members))


def tables(place: Path, *, deep: bool = True) -> list[Member]:
    """The tables in `place`, a folder or a zip, or `place` itself; in order of their names.

    deep: whether to look into folders and archives below a folder. Raises UserError if the place does not exist, or is
    an archive that cannot be opened.
    """
    if place.name.lower().endswith(_FOREIGN):
        raise UserError(f"{place}: only zip and gz files can be opened; unpack it, then use DATA=folder")
    if not place.exists():
        raise UserError(
            f"DATA={place}: no such file or folder; give a zip, a folder, or a training file next to a test file"
        )
    if place.is_file():
        return _in_file(place)
    files = [path for path in sorted(place.rglob("*") if deep else place.glob("*")) if path.is_file()]
    near = [path for path in files if len(path.relative_to(place).parts) <= _DEPTH + 1 and _visible(path, place)]
    return [member for path in near if _may_be_table(path.name) for member in _in_file(path)]


def find(members: Sequence[Member], name: str) -> Member | None:
    """The table called `name`, packed or not, or as parquet; None if there is none.

    Capitals do not count. Of several the one in the fewest folders is taken, if its content is the same as that of the
    others there. Raises UserError if the contents differ.
    """
    spellings = {name.lower(), f"{Path(name).stem}.parquet".lower()}
    found = [member for member in members if member.name.lower() in spellings]
    outermost = [member for member in found if member.depth == min(each.depth for each in found)]
    if len(outermost) > 1 and len({member.sha256() for member in outermost}) > 1:
        raise UserError(
            f"{outermost[0].file}: there is more than one {name}, with different contents; unpack it, and use "
            "DATA=folder with the folder that has the right one"
        )
    return outermost[0] if outermost else None


def _visible(path: Path, place: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(place).parts)


def _may_be_table(name: str) -> bool:
    base = PurePosixPath(name.replace("\\", "/"))
    suffix = base.suffix.lower()
    return not base.name.startswith(".") and (
        suffix in _TABLES or suffix == ".zip" or (suffix == ".gz" and Path(base.stem).suffix.lower() in _TABLES)
    )


def _in_file(path: Path) -> list[Member]:
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        return [Member(path)]
    with _named_damage(path), zipfile.ZipFile(path) as archive:
        found = [Member(path, inside) for info in archive.infolist() for inside in _in_archive(path, archive, info)]
    return sorted(found, key=lambda member: member.inside)


def _in_archive(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> list[tuple[str, ...]]:
    """The tables that a member of an archive is or contains."""
    name = info.filename
    if info.is_dir() or "__MACOSX" in name or not _may_be_table(name):
        return []
    if not name.lower().endswith(".zip"):
        return [(name,)]
    _check_member(path, info)
    with archive.open(info) as packed, zipfile.ZipFile(packed) as inner:
        return [(name, each.filename) for each in inner.infolist() if _may_be_table(each.filename)]


def _is_gzip(stream: IO[bytes]) -> bool:
    head = stream.read(2)
    stream.seek(0)
    return head == b"\x1f\x8b"


@contextmanager
def _named_damage(path: Path) -> Iterator[None]:
    """Turn a library's error about a damaged archive into a UserError that names the file and what it is."""
    try:
        yield
    except _DAMAGE as error:
        with path.open("rb") as file:
            head = file.read(512)
        kind = what_it_is(head) if not head.startswith((b"PK", b"\x1f\x8b")) else ""
        kind = kind or f"damaged or cut short ({error}); download it again"
        raise UserError(f"{path}: the file is {kind}") from None


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


def read_parquet(member: Member) -> "pd.DataFrame":
    """The table of a parquet file. Raises UserError if it is none, or if pyarrow is not installed."""
    import pandas as pd  # noqa: PLC0415 - half a second, wasted where the files are CSVs

    try:
        with member.open() as stream:
            return pd.read_parquet(stream)
    except ImportError:
        raise UserError(
            f"{member}: pyarrow reads parquet files; type `.venv/bin/pip install pyarrow`, or save the file as a CSV"
        ) from None
    except (ValueError, OSError) as error:
        raise UserError(f"{member}: not valid, download it again: {' '.join(str(error).split())}") from None
