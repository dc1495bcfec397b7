"""Labels, ids and pixels of any kind become arrays, and what cannot is said."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.config import Params, Paths
from digits.data.build import prepare
from digits.data.csv_reader import Table
from digits.data.dataset import LEARNED, Dataset, load_dataset, save_dataset
from digits.data.pixels import pixel_range as pixel_range_of
from digits.data.pixels import to_bytes
from digits.data.sources import find_source

COUNT, TESTS = 60, 9  # images
LABELS = np.arange(COUNT) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT + TESTS, 144))

Make = Callable[..., Dataset]


@pytest.fixture
def make(tmp_path: Path, toy_params: Params) -> Make:
    """Prepare files: columns of train and test by name, the pixels after them, and more files by name."""

    def from_columns(
        train: dict[str, Any],
        test: dict[str, Any] | None = None,
        images: np.ndarray = IMAGES,
        files: dict[str, str] | None = None,
        **competition: Any,
    ) -> Dataset:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        names = [f"pixel{number}" for number in range(images.shape[1])]
        parts = [("train.csv", train, images[:COUNT]), ("test.csv", test or {}, images[COUNT:])]
        for name, columns, pixels in parts:
            frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(pixels, columns=names)], axis=1)
            frame.to_csv(folder / name, index=False)
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        usual = {"train_rows": None, "test_rows": None, "sample_file": None}
        changed = toy_params.competition.model_copy(update=usual | competition)
        source = find_source(changed, Paths(tmp_path / "project"), str(folder))
        arrays, about = prepare(source, toy_params.model_copy(update={"competition": changed}), lambda count: None)
        target = tmp_path / "arrays"
        save_dataset(target, arrays, about)
        return load_dataset(target)

    return from_columns


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([1, 2, 24], [1, 2, 24]),
        ([10, 9, 2], [2, 9, 10]),
        (["7.0", "8.0", "11.0"], [7, 8, 11]),
        (["b", "a", "c"], ["a", "b", "c"]),
        (["A", "b, c", "é"], ["A", "b, c", "é"]),
        (["01", "1", "10"], ["01", "1", "10"]),
        ([-1, 0, 1], [-1, 0, 1]),
    ],
)
def test_labels_are_numbered_and_known_by_their_values(make: Make, labels: list[Any], values: list[Any]) -> None:
    data = make({"label": [labels[number] for number in LABELS]})
    assert data.class_values == values
    assert data.class_names == [str(value) for value in values]
    numbers = {str(value): number for number, value in enumerate(values)}
    assert data.labels.tolist() == [numbers[str(labels[number]).removesuffix(".0")] for number in LABELS]


def test_names_give_text_labels_their_order(make: Make) -> None:
    data = make({"label": [["up", "down", "left"][number] for number in LABELS]}, class_names=("up", "down", "left"))
    assert data.labels.tolist() == LABELS.tolist()
    assert data.class_values == ["up", "down", "left"]


@pytest.mark.parametrize("extra", [3, "x"])
def test_too_many_labels_name_the_rarest_and_their_row(make: Make, extra: Any) -> None:
    labels = [*LABELS.tolist()]
    labels[7] = extra
    with pytest.raises(
        UserError, match=rf"4 different labels .*{extra!r} in 1 rows, first in 9.*competition.classes=4"
    ):
        make({"label": labels})


def test_too_few_labels_name_the_number_that_works(make: Make) -> None:
    with pytest.raises(UserError, match=r'2 different labels.*SET="competition.classes=2"'):
        make({"label": LABELS % 2})
    assert make({"label": LABELS % 2}, classes=2).classes == 2


def test_a_blank_label_is_named_by_its_row(make: Make) -> None:
    with pytest.raises(UserError, match="row 6: the label is blank"):
        make({"label": [*"0120", "", *map(str, LABELS[5:])]})


def test_one_hot_labels(make: Make) -> None:
    columns = {name: np.equal(LABELS, number).astype(int) for number, name in enumerate("xyz")}
    data = make(columns, label_column=("x", "y", "z"))
    assert data.labels.tolist() == LABELS.tolist()
    assert data.class_values == ["x", "y", "z"]


def test_labels_in_a_file_of_their_own_are_joined_by_id(make: Make) -> None:
    order = np.random.default_rng(1).permutation(COUNT)
    file = "name,kind\n" + "".join(f"i{row:03},{'abc'[LABELS[row]]}\n" for row in order)
    options = {"labels_file": "labels.csv", "train_id_column": "name", "label_column": "kind"}
    names = [f"i{row:03}" for row in range(COUNT)]
    data = make({"name": names}, files={"labels.csv": file}, **options)
    assert data.labels.tolist() == LABELS.tolist()
    with pytest.raises(UserError, match=r"1 ids of train.csv are missing, the first is i"):
        make({"name": names}, files={"labels.csv": "\n".join(file.splitlines()[:-1]) + "\n"}, **options)
    with pytest.raises(UserError, match="occurs more than once"):
        make({"name": names}, files={"labels.csv": file + file.splitlines()[1] + "\n"}, **options)


@pytest.mark.parametrize("names", [[f"{row:03}" for row in range(TESTS)], list("abcdefghi"), list(range(9, 18))])
def test_ids_are_the_text_that_they_are(make: Make, names: list[Any]) -> None:
    data = make({"label": LABELS}, {"id": names}, test_id_column="id")
    assert [str(value) for value in data.test_ids] == [str(name) for name in names]
    assert data.test_images.tolist() == IMAGES[COUNT:].tolist()


def test_ids_of_the_sample_are_joined_by_value(make: Make) -> None:
    order = np.random.default_rng(2).permutation(TESTS)
    sample = "ImageId,Label\n" + "".join(f"t{row},0\n" for row in order)
    names = {"id": [f"t{row}" for row in range(TESTS)]}
    options = {"test_id_column": "id", "sample_file": "sample.csv"}
    data = make({"label": LABELS}, names, files={"sample.csv": sample}, **options)
    assert data.test_ids.tolist() == [f"t{row}" for row in order]
    assert data.test_images.tolist() == IMAGES[COUNT:][order].tolist()
    with pytest.raises(UserError, match=r'1 ids are not in test.csv.*SET="competition.sample_file=null"'):
        make({"label": LABELS}, names, files={"sample.csv": sample.replace("t1", "other")}, **options)
    with pytest.raises(UserError, match=r'8 ids, test.csv has 9 images.*SET="competition.sample_file=null"'):
        make({"label": LABELS}, names, files={"sample.csv": sample.rpartition("t")[0]}, **options)


def test_repeated_ids_are_refused(make: Make) -> None:
    with pytest.raises(UserError, match="id 0 occurs more than once, as 3 others do"):
        make({"label": LABELS}, {"id": np.arange(TESTS) // 2}, test_id_column="id")


@pytest.mark.parametrize(
    ("scaled", "options"),
    [
        (IMAGES, {}),
        (IMAGES.astype(float), {}),
        (IMAGES / 255, {}),
        (IMAGES > 127, {}),
        (np.where(IMAGES > 127, 16, 0), {}),
        (IMAGES * 257, {"pixel_range": (0, 65535)}),
        (IMAGES / 127.5 - 1, {"pixel_range": (-1, 1)}),
    ],
    ids=["bytes", "decimals", "0 to 1", "0 or 1", "0 to 16", "16 bits", "-1 to 1"],
)
def test_pixels_are_scaled_to_bytes(
    make: Make, scaled: np.ndarray, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.data.pixels._ROWS", 2)
    numbers = scaled.astype(int) if scaled.dtype == bool else scaled
    expected = np.where(IMAGES > 127, 255, 0) if scaled.max() in (1, 16) and len(np.unique(scaled)) == 2 else IMAGES
    data = make({"label": LABELS}, images=numbers, **options)
    assert data.images.tolist() == expected[:COUNT].tolist()
    assert data.test_images.tolist() == expected[COUNT:].tolist()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (256, r"1 cells are outside 0 to 255, the first in row 5, column pixel7: 256"),
        (-1, r"1 cells are outside 0 to 255.*column pixel7: -1"),
        (12.5, r"1 cells are not whole, the first in row 5, column pixel7: 12.5"),
    ],
)
def test_a_value_that_does_not_belong_is_named_with_a_remedy_that_works(
    make: Make, value: float, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digits.data.pixels._ROWS", 2)
    images = IMAGES.astype(object)
    images[3, 7] = value
    with pytest.raises(UserError, match=complaint) as caught:
        make({"label": LABELS}, images=images)
    low, high = str(caught.value).rpartition("pixel_range=[")[2].removesuffix(']"').split(",")
    assert make({"label": LABELS}, images=images, pixel_range=(float(low), float(high))).images.max() == 255


@pytest.mark.parametrize("pixel_range", [None, (0, 255)])
def test_looking_at_many_images_takes_no_more_memory_than_they_do(
    toy_params: Params, pixel_range: tuple[int, int] | None
) -> None:
    given = toy_params.competition.model_copy(update={"pixel_range": pixel_range})
    values = np.random.default_rng(0).integers(0, 256, (20_000, 100), np.uint8)
    tracemalloc.start()
    limits, _ = pixel_range_of(Table(values, {}), given, "train.csv")
    found, outside = to_bytes(values, limits, given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is values
    assert not outside
    assert peak < values.nbytes / 2


def test_a_test_file_in_another_range_is_a_warning(make: Make) -> None:
    images = IMAGES.copy()
    images[:COUNT] //= 16
    data = make({"label": LABELS}, images=images)
    assert any("WARNING: test.csv" in notice and "outside 0 to 15" in notice for notice in data.about["notices"])


def test_labels_of_the_test_file_are_kept_apart(make: Make) -> None:
    data = make({"label": LABELS}, {"label": [0, 1, 2] * 3})
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [0, 1, 2] * 3
    assert make({"label": LABELS}, {"label": ["?"] * TESTS}).about["notices"]


def test_colours_of_planes_are_put_side_by_side(make: Make) -> None:
    planes = IMAGES.reshape(-1, 3, 6, 8)
    interleaved = planes.transpose(0, 2, 3, 1).reshape(len(IMAGES), -1)
    options = {"image_shape": (6, 8), "channels": 3}
    assert make({"label": LABELS}, planar=True, **options).images.tolist() == interleaved[:COUNT].tolist()


def test_interleaved_colours_stay_as_they_are(make: Make) -> None:
    data = make({"label": LABELS}, image_shape=(6, 8), channels=3)
    assert data.images.tolist() == IMAGES[:COUNT].tolist()


def test_without_a_test_file_a_fifth_plays_it_and_is_not_learned(make: Make) -> None:
    data = make({"label": LABELS}, test_file=None)
    assert (len(data.images), len(data.test_images)) == (48, 12)
    learned, apart = ({bytes(image) for image in images} for images in (data.images, data.test_images))
    assert learned | apart == {bytes(image.astype(np.uint8)) for image in IMAGES[:COUNT]}
    assert not learned & apart
    by_image = {bytes(image.astype(np.uint8)): label for image, label in zip(IMAGES, LABELS, strict=False)}
    assert data.test_labels is not None
    assert [by_image[bytes(image)] for image in data.test_images] == data.test_labels.tolist()


def test_a_class_with_one_image_is_learned_by_every_model(make: Make) -> None:
    data = make({"label": [3, *LABELS[1:]]}, classes=4)
    assert data.folds[0] == LEARNED
    assert all(0 in data.train_rows(fold) for fold in range(data.fold_count))
    assert 0 not in data.working_rows
