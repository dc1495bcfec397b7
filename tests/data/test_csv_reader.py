"""Reading a competition's CSV: what is sound becomes arrays, everything else is named with its place."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.errors import UserError
from digits.config import Competition, Params
from digits.data.csv_reader import Table, read_sample_ids, read_test, read_train
from toys import write_toy_files


@pytest.fixture
def competition(toy_params: Params) -> Competition:
    return toy_params.competition.model_copy(update={"image_shape": (2, 2)})


HEADER = "label,pixel0,pixel1,pixel2,pixel3\n"
ROWS = "0,0,255,7,8\n1,1,2,3,4\n2,9,9,9,9\n"

Read = Callable[[str | bytes], Table]


@pytest.fixture
def read(tmp_path: Path, competition: Competition) -> Read:
    def from_text(content: str | bytes) -> Table:
        path = tmp_path / "train.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_train(path, competition, None)

    return from_text


def test_images_and_labels(read: Read) -> None:
    table = read(HEADER + ROWS)
    assert table.images.dtype == np.uint8
    assert table.images.tolist() == [[0, 255, 7, 8], [1, 2, 3, 4], [9, 9, 9, 9]]
    assert table.extra is not None
    assert table.extra.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + ROWS).replace("\n", "\r\n"),
        "\ufeff" + HEADER + ROWS,
        (HEADER + ROWS).replace("255", '"255"').replace("label", '"label"'),
        HEADER + ROWS.replace("255", "0255"),
    ],
    ids=["crlf", "bom", "quotes", "leading zero"],
)
def test_harmless_variants_give_the_same_arrays(read: Read, content: str) -> None:
    plain, variant = read(HEADER + ROWS), read(content)
    assert np.array_equal(plain.images, variant.images)
    assert np.array_equal(plain.extra, variant.extra)  # type: ignore[arg-type]


def test_shuffled_pixel_columns_are_put_in_order_with_a_notice(read: Read) -> None:
    table = read("pixel3,pixel0,label,pixel2,pixel1\n8,0,0,7,255\n")
    assert table.images.tolist() == [[0, 255, 7, 8]]
    assert "put in order" in table.notices[0]


@pytest.mark.parametrize(
    ("content", "complaints"),
    [
        ("", ["is empty"]),
        (HEADER, ["has a header but no rows"]),
        (HEADER.strip(), ["ends in its header"]),
        ("PK\x03\x04xx\n", ["is an archive"]),
        ("<!DOCTYPE html>\n<html>", ["is a web page"]),
        ((HEADER + ROWS).encode("utf-16"), ["UTF-16"]),
        (HEADER.replace("label", "l\u00e4bel").encode("latin-1") + ROWS.encode(), ["not UTF-8"]),
        ((HEADER + ROWS).replace(",", ";"), ["separated by semicolons"]),
        ((HEADER + ROWS).replace(",", "\t"), ["separated by tabs"]),
        (HEADER.replace("label,", "") + "1,2,3,4\n", ["no column 'label'", "are train and test swapped?"]),
        (HEADER.replace("pixel1", "pixel0") + ROWS, ["'pixel0' occurs 2 times", "the first is 'pixel1'"]),
        (HEADER.replace("\n", ",hue\n") + "0,1,2,3,4,5\n", ["1 unknown columns ('hue')"]),
        ("label,pixel0,pixel1\n0,1,2\n", ["2 pixel columns, but 2x2 images have 4", "image_shape"]),
        ("label,pixel0,pixel2,pixel3\n0,1,2,3\n", ["1 of the 4 pixel columns are missing, the first is 'pixel1'"]),
        (
            "label," + ",".join(f"pixel{number}" for number in range(25)) + "\n",
            ['25 pixel columns, but 2x2 images have 4; for 5x5 images, add SET="competition.image_shape=[5,5]"'],
        ),
        (
            "label," + ",".join(f"pixel{number}" for number in range(1, 26)) + "\n",
            ['SET="competition.image_shape=[5,5] competition.first_pixel=1"'],
        ),
        (HEADER.replace("pixel0", "pixel4"), ['numbered from 1; add SET="competition.first_pixel=1"']),
        ("label," + ",".join(f"pixel{number}" for number in range(12)) + "\n", ["colour images"]),
        (HEADER + "0," + "1" * 5000 + ",2,3,4\n", ["'11111111111111111111...'"]),
        (HEADER + ROWS + "0,1,2,3,4,5\n", ["row 5: the row has 6 cells instead of 5"]),
        (HEADER + "0,1,2,3,4,5\n1,1,2,3,4,5\n", ["row 2: the row has 6 cells", "row 3: the row has 6 cells"]),
        (HEADER + ROWS + "0,1,2\n", ["row 5: the row has 3 cells"]),
        (HEADER + "0,1,2,3\n0,1,2,3,4,5\n", ["row 2: the row has 4 cells", "row 3: the row has 6 cells"]),
        (HEADER + ROWS + "\n" + ROWS, ["row 5: the row is blank"]),
        (HEADER + "0,1,,3,4\n", ["row 2: column pixel1: the cell is blank"]),
        (HEADER + "0,1,NaN,3,4\n", ["column pixel1: 'NaN' is not a whole number from 0 to 255"]),
        (HEADER + "0,1,2e2,3,4\n", ["'2e2'"]),
        (HEADER + "0,1,1.5,3,4\n", ["'1.5'"]),
        (HEADER + "0,1,True,3,4\n", ["'True'"]),
        (HEADER + "0,1,-1,3,4\n", ["'-1'"]),
        (HEADER + "0,1,256,3,4\n", ["'256'"]),
        (HEADER + "0,1,99999999999999999999,3,4\n", ["'99999999999999999999'"]),
        (HEADER + "3,1,2,3,4\n", ["row 2: column label: '3' is not a whole number from 0 to 2"]),
        (HEADER + "0,1,2\x00,3,4\n", ["column pixel1"]),
        (HEADER + ROWS.rstrip("\n"), ["row 4: the file ends in the middle of a line"]),
        (HEADER + ROWS + "1,2", ["row 5: the row has 2 cells", "row 5: the file ends in the middle of a line"]),
    ],
)
def test_faults_are_named_with_their_place(read: Read, content: str | bytes, complaints: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(content)
    for complaint in complaints:
        assert complaint in str(caught.value)
    assert all(line.startswith("train.csv") for line in str(caught.value).splitlines())


def test_rows_are_counted_across_chunks(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digits.data.csv_reader.CHUNK_BYTES", 64)
    with pytest.raises(UserError) as caught:
        read(HEADER + "0,1,2,3,4\n" * 100 + "0,1,x,3,4\n" + "0,1,2,3,4\n" * 100 + "0,1\n")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("train.csv, row 102: column pixel1")
    assert lines[1].startswith("train.csv, row 203: the row has 2 cells")


def test_the_first_twenty_faults_are_shown_and_all_are_counted(read: Read) -> None:
    with pytest.raises(UserError) as caught:
        read(HEADER + "0,1,x,3,4\n" * 50)
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert "row 21:" in lines[19]
    assert "and 30 more faults" in lines[20]


def test_row_counts_are_held_against_what_is_expected(tmp_path: Path, toy_params: Params) -> None:
    write_toy_files(tmp_path, train_rows=30)
    with pytest.raises(UserError, match=r'30 rows, but 180 are expected.*SET="competition.train_rows=30"'):
        read_train(tmp_path / "train.csv", toy_params.competition, 180)


def test_a_training_file_in_place_of_the_test_file_is_recognised(tmp_path: Path, toy_params: Params) -> None:
    write_toy_files(tmp_path)
    with pytest.raises(UserError, match="swapped"):
        read_test(tmp_path / "train.csv", toy_params.competition, None)


def test_chunks_join_without_a_seam(tmp_path: Path, toy_params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toy_files(tmp_path)
    whole = read_train(tmp_path / "train.csv", toy_params.competition, 180)
    monkeypatch.setattr("digits.data.csv_reader.CHUNK_BYTES", 1000)
    chunks = read_train(tmp_path / "train.csv", toy_params.competition, 180)
    assert np.array_equal(whole.images, chunks.images)
    assert np.array_equal(whole.extra, chunks.extra)  # type: ignore[arg-type]


def test_ids_of_the_test_file(tmp_path: Path, competition: Competition) -> None:
    path = tmp_path / "test.csv"
    path.write_text("id,pixel0,pixel1,pixel2,pixel3\n70000,1,2,3,255\n70001,5,6,7,8\n")
    table = read_test(path, competition.model_copy(update={"test_id_column": "id"}), 2)
    assert table.extra is not None
    assert table.extra.tolist() == [70000, 70001]
    assert table.images.tolist() == [[1, 2, 3, 255], [5, 6, 7, 8]]


def test_sample_ids(tmp_path: Path, competition: Competition) -> None:
    path = tmp_path / "sample_submission.csv"
    path.write_text("ImageId,Label\r\n3,0\r\n1,0\r\n")
    assert read_sample_ids(path, competition).tolist() == [3, 1]
    path.write_text("ImageId,Label\n3,0\n3,0\n")
    with pytest.raises(UserError, match="id 3 occurs more than once"):
        read_sample_ids(path, competition)
    path.write_text("id,Label\n3,0\n")
    with pytest.raises(UserError, match="ImageId"):
        read_sample_ids(path, competition)


def reference(content: bytes) -> list[list[int]] | None:
    """The obvious way to read the 2x2 toy file: cells of each row, or None where it must be refused."""
    if not content.endswith(b"\n"):
        return None
    lines = content.replace(b"\r\n", b"\n").split(b"\n")[:-1]
    if lines[0] + b"\n" != HEADER.encode() or len(lines) < 2:
        return None
    rows = []
    for line in lines[1:]:
        cells = [re.fullmatch(rb'(")?(\d+)(?(1)")', cell) for cell in line.split(b",")]
        if len(cells) != 5 or any(cell is None for cell in cells):
            return None
        values = [int(cell[2]) for cell in cells if cell]
        if values[0] > 2 or max(values[1:]) > 255:
            return None
        rows.append(values)
    return rows


@pytest.mark.slow
@settings(max_examples=3 * settings().max_examples, deadline=None)  # 300; many more with the profile of make fuzz
@given(
    start=st.integers(len(HEADER), len(HEADER + ROWS)),
    removed=st.integers(0, 6),
    inserted=st.one_of(
        st.sampled_from(
            [b"", b",", b"\n", b"\r\n", b'"', b"0", b"255", b"256", b"-1", b"1e1", b" ", b"1.0", b'"3"', b",,"]
        ),
        st.binary(max_size=4),
    ),
)
def test_mutated_files_are_read_as_by_the_obvious_parser(
    tmp_path_factory: pytest.TempPathFactory, start: int, removed: int, inserted: bytes
) -> None:
    from digits.config import load_params
    from toys import ROOT, TOY

    competition = load_params(ROOT / "params.yaml", TOY).competition.model_copy(update={"image_shape": (2, 2)})
    content = (HEADER + ROWS).encode()
    content = content[:start] + inserted + content[start + removed :]
    path = tmp_path_factory.mktemp("mutated") / "train.csv"
    path.write_bytes(content)
    expected = reference(content)
    if expected is None:
        with pytest.raises(UserError):
            read_train(path, competition, None)
    else:
        table = read_train(path, competition, None)
        assert table.extra is not None
        assert np.column_stack([table.extra, table.images]).tolist() == expected
