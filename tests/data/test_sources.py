"""Files are found in the promised order, copied safely, and never overwritten when they are the user's own."""

import gzip
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.common.sealed import write_json
from digits.config import Params, Paths, load_params
from digits.data.sources import Source, accept, find_source
from toys import ROOT, TOY, tree, write_toy_files

NAMES = ["train.csv", "test.csv", "sample_submission.csv"]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "project")


def pack(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in NAMES:
            opened.write(folder / name, prefix + name)
    return archive


def test_without_anything_it_is_the_practice_set(toy_params: Params, paths: Paths) -> None:
    source = find_source(toy_params.competition, paths, None)
    assert source.provenance == "practice"
    assert set(source.sha256) == set(NAMES)
    assert find_source(toy_params.competition, paths, None) == source


def contents(source: Source) -> dict[str, bytes]:
    return {name: (Path(source.folder) / name).read_bytes() for name in source.sha256}


@pytest.mark.parametrize("prefix", ["", "toy/", "../../", "/etc/"])
def test_a_named_zip_is_copied_and_once_accepted_remembered(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path, prefix: str
) -> None:
    """Where a file stands in the archive has no say in where it goes."""
    archive = pack(toy_files, tmp_path / "toy.zip", prefix)
    source = find_source(toy_params.competition, paths, str(archive))
    assert (source.provenance, source.label) == ("local", "toy.zip")
    assert contents(source) == tree(toy_files)
    assert Path(source.folder).parent == paths.copies
    assert {Path(name).name for name in tree(paths.root)} == {*NAMES, "manifest.json"}
    archive.unlink()
    assert find_source(toy_params.competition, paths, None).provenance == "practice"
    accept(source, paths)
    assert find_source(toy_params.competition, paths, None) == source


def test_no_copy_is_changed_by_another_and_the_user_says_which(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path
) -> None:
    """A command with other DATA may be reading the first one; none is taken silently."""
    first = find_source(toy_params.competition, paths, str(toy_files))
    accept(first, paths)
    before = tree(Path(first.folder))
    write_toy_files(tmp_path / "other", train_rows=90)
    second = find_source(toy_params.competition, paths, str(tmp_path / "other"))
    assert find_source(toy_params.competition, paths, None) == first, "the second one is not accepted yet"
    accept(second, paths)
    assert tree(Path(first.folder)) == before
    with pytest.raises(UserError, match="earlier commands were given different files") as refused:
        find_source(toy_params.competition, paths, None)
    [named] = re.findall(r"DATA=(\S+), or", str(refused.value))
    chosen = find_source(toy_params.competition, paths, str(paths.root / named))
    assert (chosen.folder, chosen.sha256) in [(each.folder, each.sha256) for each in (first, second)]
    [removed] = re.findall(r"rm -r (\S+)$", str(refused.value))
    shutil.rmtree(paths.root / removed)
    assert find_source(toy_params.competition, paths, None) in (first, second)


def test_copies_of_the_same_content_are_one(toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path) -> None:
    for named in (toy_files, pack(toy_files, tmp_path / "toy.zip")):
        accept(find_source(toy_params.competition, paths, str(named)), paths)
    assert len([*paths.copies.iterdir()]) == 2
    assert contents(find_source(toy_params.competition, paths, None)) == tree(toy_files)


def test_practice_images_of_other_columns_lie_elsewhere(paths: Paths) -> None:
    """A command with other params may be reading the first ones."""
    competitions = [
        load_params(ROOT / "params.yaml", [*TOY, *also]).competition for also in ([], ["competition.label_column=kind"])
    ]
    first = find_source(competitions[0], paths, "practice")
    before = tree(Path(first.folder))
    assert find_source(competitions[1], paths, "practice").sha256 != first.sha256
    assert tree(Path(first.folder)) == before
    assert find_source(competitions[0], paths, "practice") == first


def test_the_same_content_is_copied_once(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    folder = Path(find_source(toy_params.competition, paths, str(toy_files)).folder)
    before = folder.stat().st_mtime_ns
    find_source(toy_params.competition, paths, str(toy_files))
    assert folder.stat().st_mtime_ns == before


@pytest.mark.parametrize("place", ["toy", "."])
def test_files_dropped_into_raw_are_used_where_they_lie(toy_params: Params, paths: Paths, place: str) -> None:
    write_toy_files(paths.raw / place, train_rows=60)
    before = tree(paths.raw)
    source = find_source(toy_params.competition, paths, None)
    assert Path(source.folder) == (paths.raw / place).resolve()
    assert source.provenance == "local"
    accept(source, paths)
    assert tree(paths.raw) == before
    assert find_source(toy_params.competition, paths, "practice").provenance == "practice"


def test_a_training_file_in_raw_may_be_named(toy_params: Params, paths: Paths) -> None:
    write_toy_files(paths.raw)
    source = find_source(toy_params.competition, paths, str(paths.raw / "train.csv"))
    assert Path(source.folder) == paths.raw.resolve()
    assert set(source.sha256) == set(NAMES)


def test_raw_may_lie_elsewhere(toy_params: Params, paths: Paths, tmp_path: Path) -> None:
    write_toy_files(tmp_path / "large disk" / "toy")
    paths.raw.parent.mkdir(parents=True)
    paths.raw.symlink_to(tmp_path / "large disk")
    source = find_source(toy_params.competition, paths, None)
    assert source.label == "data/raw/toy"
    assert contents(source) == tree(tmp_path / "large disk" / "toy")


def test_only_whole_copies_of_the_same_competition_are_used(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    for name in (f"my-toy-{'0' * 12}", f"toy-2-{'0' * 12}", f".toy-{'0' * 12}-being-made"):
        write_toy_files(paths.copies / name, train_rows=90)
        write_json(paths.copies / name / "accepted.json", {"label": name, "provenance": "local"})
    source = find_source(toy_params.competition, paths, str(toy_files))
    accept(source, paths)
    assert find_source(toy_params.competition, paths, None) == source


def test_packed_files_dropped_into_raw(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    paths.raw.mkdir(parents=True)
    (paths.raw / "train.csv.gz").write_bytes(gzip.compress((toy_files / "train.csv").read_bytes()))
    (paths.raw / "test.csv").write_bytes((toy_files / "test.csv").read_bytes())
    source = find_source(toy_params.competition, paths, None)
    assert contents(source) == {name: (toy_files / name).read_bytes() for name in ("train.csv", "test.csv")}


def test_what_is_dropped_later_goes_before_an_older_copy(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path
) -> None:
    accept(find_source(toy_params.competition, paths, str(toy_files)), paths)
    write_toy_files(tmp_path / "newer", train_rows=90)
    pack(tmp_path / "newer", paths.raw / "toy.zip")
    source = find_source(toy_params.competition, paths, None)
    assert source.label == "toy.zip"
    assert contents(source) == tree(tmp_path / "newer")


def test_a_training_file_beside_a_test_file(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    """Under its own name or another, packed or not; the sample submission may be missing."""
    (toy_files / "train.csv").rename(toy_files / "mine.csv")
    (toy_files / "sample_submission.csv").unlink()
    source = find_source(toy_params.competition, paths, str(toy_files / "mine.csv"))
    assert set(source.sha256) == {"train.csv", "test.csv"}
    assert contents(source)["train.csv"] == (toy_files / "mine.csv").read_bytes()


def test_files_packed_by_gzip(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    plain = tree(toy_files)
    for name in ("train.csv", "test.csv"):
        (toy_files / f"{name}.gz").write_bytes(gzip.compress(plain[name]))
        (toy_files / name).unlink()
    for named in (toy_files, toy_files / "train.csv.gz"):
        assert contents(find_source(toy_params.competition, paths, str(named))) == plain


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data[:200] + b"?" + data[201:]])
def test_damaged_gzip_changes_nothing(
    toy_params: Params, paths: Paths, toy_files: Path, damage: Callable[[bytes], bytes]
) -> None:
    find_source(toy_params.competition, paths, str(toy_files))
    before = tree(paths.raw)
    packed = toy_files / "train.csv.gz"
    packed.write_bytes(damage(gzip.compress((toy_files / "train.csv").read_bytes())))
    with pytest.raises(UserError, match="damaged or cut short"):
        find_source(toy_params.competition, paths, str(packed))
    assert tree(paths.raw) == before


def test_other_archives_are_named(toy_params: Params, paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "toy.tar.gz").write_bytes(gzip.compress(b"whatever"))
    with pytest.raises(UserError, match="only zip and gz"):
        find_source(toy_params.competition, paths, str(tmp_path / "toy.tar.gz"))


def test_a_missing_file_is_named(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    (toy_files / "test.csv").unlink()
    with pytest.raises(UserError, match=r"there is no test.csv"):
        find_source(toy_params.competition, paths, str(toy_files))
    with pytest.raises(UserError, match="no such file or folder"):
        find_source(toy_params.competition, paths, str(toy_files / "nothing.zip"))


def damaged(kind: str, folder: Path, archive: Path) -> Path:
    pack(folder, archive)
    content = archive.read_bytes()
    if kind == "cut":
        archive.write_bytes(content[: len(content) // 2])
    elif kind == "flipped":
        archive.write_bytes(content[:3000] + bytes([content[3000] ^ 255]) + content[3001:])
    elif kind == "page":
        archive.write_bytes(b"<!DOCTYPE html><html>sign in</html>")
    elif kind == "twice":
        with zipfile.ZipFile(archive, "a") as opened:
            opened.write(folder / "test.csv", "Train.csv")
    elif kind == "link":
        link = zipfile.ZipInfo("train.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr(link, "/etc/passwd")
            opened.write(folder / "test.csv", "test.csv")
    elif kind == "other":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("readme.txt", "hello")
    return archive


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("cut", "damaged or cut short"),
        ("flipped", "damaged or cut short"),
        ("page", "a web page"),
        ("twice", "more than one train.csv"),
        ("link", "is a link"),
        ("other", "no train.csv"),
    ],
)
def test_bad_archives_change_nothing(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path, kind: str, complaint: str
) -> None:
    find_source(toy_params.competition, paths, str(pack(toy_files, tmp_path / "good.zip")))
    before = tree(paths.raw)
    with pytest.raises(UserError, match=complaint):
        find_source(toy_params.competition, paths, str(damaged(kind, toy_files, tmp_path / "bad.zip")))
    assert tree(paths.raw) == before


def test_a_member_that_unpacks_to_too_much_is_refused(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.data.places.LARGEST_FILE", 1000)
    with pytest.raises(UserError, match="the limit is"):
        find_source(toy_params.competition, paths, str(pack(toy_files, tmp_path / "bomb.zip")))


@pytest.mark.parametrize("how", ["zip each", "gz each", "folders", "zip of zips", "deep", "twice the same", "capitals"])
def test_files_are_found_whatever_they_are_packed_in(
    toy_params: Params, paths: Paths, toy_files: Path, tmp_path: Path, how: str
) -> None:
    place = tmp_path / "my place (1)"
    place.mkdir()
    for name in NAMES:
        content = (toy_files / name).read_bytes()
        if how in ("zip each", "zip of zips"):
            with zipfile.ZipFile(place / f"{name}.zip", "w") as opened:
                opened.writestr(name, content)
        elif how == "gz each":
            (place / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            folder = {"folders": name, "deep": "a/b", "capitals": ".", "twice the same": "a"}[how]
            (place / folder).mkdir(parents=True, exist_ok=True)
            (place / folder / (name.upper() if how == "capitals" else name)).write_bytes(content)
    (place / "__MACOSX").mkdir()
    (place / "__MACOSX" / "._train.csv").write_bytes(b"\0\5\26\7")
    named = place
    if how == "zip of zips":
        named = tmp_path / "outer.zip"
        with zipfile.ZipFile(named, "w") as opened:
            for path in place.glob("*.zip"):
                opened.write(path, f"inner/{path.name}")
    if how == "twice the same":
        shutil.copytree(place / "a", place / "b")
    assert contents(find_source(toy_params.competition, paths, str(named))) == tree(toy_files)


def test_two_files_are_named_with_a_comma(toy_params: Params, paths: Paths, toy_files: Path) -> None:
    before = tree(toy_files)
    (toy_files / "train.csv").rename(toy_files / "learn me.csv")
    (toy_files / "test.csv").rename(toy_files / "predict me.csv")
    source = find_source(toy_params.competition, paths, f"{toy_files}/learn me.csv,{toy_files}/predict me.csv")
    assert contents(source) == {name: before[name] for name in ("train.csv", "test.csv")}


def test_parquet_is_read_as_the_same_table(
    toy_params: Params, paths: Paths, toy_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas reads parquet with pyarrow, which is not one of our packages: here it is given the frame."""
    frame = pd.read_csv(toy_files / "train.csv")
    expected = contents(find_source(toy_params.competition, paths, str(toy_files)))
    (toy_files / "train.csv").unlink()
    (toy_files / "train.parquet").write_bytes(b"PAR1")
    if find_spec("pyarrow") is None:
        with pytest.raises(UserError, match="pyarrow reads parquet files"):
            find_source(toy_params.competition, paths, str(toy_files))
    monkeypatch.setattr(pd, "read_parquet", lambda stream: frame)
    assert contents(find_source(toy_params.competition, paths, str(toy_files))) == expected
