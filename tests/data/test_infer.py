"""Files of many kinds are understood; what is written for them makes the arrays that the files mean."""

import gzip
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_digits

from digits.cli.describe import describe, slug_of
from digits.common.console import Console
from digits.common.errors import UserError
from digits.data.dataset import Dataset, load_dataset
from digits.kaggle.submission import check_frame, make_frame
from toys import ROOT

COUNT, TESTS = 40, 12


def blobs(count: int, seed: int, height: int = 12, width: int = 12, channels: int = 1) -> np.ndarray:
    """Smooth images with a dark frame, (count, height, width, channels), 0 to 255."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    images = np.zeros((count, height, width, channels))
    for image in images:
        for channel in range(channels):
            y, x = generator.uniform((height / 3, width / 3), (2 * height / 3, 2 * width / 3))
            image[..., channel] = 255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 6)
    images[:, [0, -1]] = images[:, :, [0, -1]] = 0
    return images.round().astype(int)


LABELS = np.arange(COUNT) % 4


def table(pixels: np.ndarray, names: list[str], **columns: Any) -> pd.DataFrame:
    """Columns of text before those of the pixels."""
    return pd.concat([pd.DataFrame(columns), pd.DataFrame(pixels.reshape(len(pixels), -1), columns=names)], axis=1)


def numbered(prefix: str, first: int = 0, count: int = 144) -> list[str]:
    return [f"{prefix}{number}" for number in range(first, first + count)]


Understand = Callable[[str], tuple[Dataset, dict[str, Any], str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "My Signs (1)"
    made.mkdir()
    return made


@pytest.fixture
def understand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Understand:
    """What `make init` makes of files: arrays, the competition's section, and what was printed."""

    def from_files(named: str) -> tuple[Dataset, dict[str, Any], str]:
        project = tmp_path / "project"
        project.mkdir(exist_ok=True)
        (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        describe(project, named, Console(plain=True))
        [file] = project.glob("params.*.yaml")
        [arrays] = (project / "data" / "processed").glob("*-*")
        [picture] = (project / "reports").glob("*.png")
        assert picture.read_bytes().startswith(b"\x89PNG")
        section = yaml.safe_load(file.read_text())["competition"]
        assert file.read_text().count("  # ") >= len(section) - 1, "a line without what it was inferred from"
        return load_dataset(arrays), section, capsys.readouterr().out

    return from_files


def write(
    folder: Path, train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, **options: Any
) -> None:
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample)):
        if frame is not None:
            frame.to_csv(folder / f"{name}.csv", index=False, **(options if name != "sample_submission" else {}))


TRAIN, TEST = blobs(COUNT, 0), blobs(TESTS, 1)


def check(data: Dataset, images: np.ndarray = TRAIN, tests: np.ndarray = TEST) -> None:
    assert data.images.tolist() == images.reshape(len(images), -1).tolist()
    assert data.test_images.tolist() == tests.reshape(len(tests), -1).tolist()
    assert data.labels.tolist() == LABELS.tolist()


def test_the_usual_shape(folder: Path, understand: Understand) -> None:
    sample = pd.DataFrame({"id": np.arange(7, 7 + TESTS), "digit": 0})
    write(
        folder, table(TRAIN, numbered("px", 1), digit=LABELS), table(TEST, numbered("px", 1), id=sample["id"]), sample
    )
    data, section, said = understand(str(folder))
    check(data)
    assert section["slug"] == "my-signs"
    assert (section["label_column"], section["test_id_column"]) == ("digit", "id")
    assert (section["pixel_prefix"], section["first_pixel"], section["classes"]) == ("px", 1, 4)
    assert data.test_ids.tolist() == sample["id"].tolist()
    assert "make submit PARAMS=params.my-signs.yaml" in said
    assert "labels   4 in digit: 0: 10  1: 10  2: 10  3: 10" in said


@pytest.mark.parametrize(
    "names", [[f"{y}x{x}" for y in range(1, 13) for x in range(1, 13)], numbered(""), numbered("p_")]
)
def test_pixels_by_pattern(folder: Path, understand: Understand, names: list[str]) -> None:
    train = table(TRAIN, names, id=np.arange(COUNT), digit=LABELS, letter=["ABCDEFG"[row % 7] for row in range(COUNT)])
    test = table(TEST, names, id=np.arange(100, 100 + TESTS), letter=["A"] * TESTS)
    write(folder, train, test, pd.DataFrame({"id": np.arange(100, 100 + TESTS), "digit": 0}))
    data, section, _ = understand(str(folder))
    check(data)
    assert section["label_column"] == "digit"


@pytest.mark.parametrize("last", [False, True])
def test_no_header(folder: Path, understand: Understand, last: bool) -> None:
    train = table(TRAIN, numbered("x"), label=LABELS)
    write(
        folder, train[[*train.columns[1:], "label"]] if last else train, table(TEST, numbered("x")), None, header=False
    )
    data, _, said = understand(str(folder))
    check(data)
    assert "no header" in said


@pytest.mark.parametrize("labelled", ["label", "class", "target", "Kind"])
def test_the_label_is_found_wherever_it_stands(folder: Path, understand: Understand, labelled: str) -> None:
    train = table(TRAIN, numbered("pixel"), **{"": np.arange(COUNT), labelled: [f"k{label}" for label in LABELS]})
    write(folder, train[[*train.columns[2:], labelled, ""]], table(TEST, numbered("pixel")), None)
    data, section, _ = understand(str(folder))
    check(data)
    assert section["label_column"] == labelled
    assert data.class_values == ["k0", "k1", "k2", "k3"]


def test_labels_of_their_own_file(folder: Path, understand: Understand) -> None:
    order = np.random.default_rng(3).permutation(COUNT)
    write(
        folder,
        table(TRAIN, numbered("pixel"), image=[f"i{row}" for row in range(COUNT)]),
        table(TEST, numbered("pixel")),
        None,
    )
    labels = pd.DataFrame({"image": [f"i{row}" for row in order], "sort": LABELS[order]})
    labels.to_csv(folder / "train_labels.csv", index=False)
    data, section, _ = understand(str(folder))
    check(data)
    assert (section["labels_file"], section["train_id_column"]) == ("train_labels.csv", "image")


def test_one_hot(folder: Path, understand: Understand) -> None:
    columns = {f"is_{name}": np.equal(LABELS, number).astype(int) for number, name in enumerate("abcd")}
    write(folder, table(TRAIN, numbered("pixel"), **columns), table(TEST, numbered("pixel")), None)
    data, section, _ = understand(str(folder))
    check(data)
    assert section["label_column"] == ["is_a", "is_b", "is_c", "is_d"]


@pytest.mark.parametrize("how", ["{}", "[{}]", "[{},]"])
def test_all_pixels_in_a_cell(folder: Path, understand: Understand, how: str) -> None:
    between = ", " if "," in how else " "

    def joined(images: np.ndarray) -> list[str]:
        return [how.replace(",", "").format(between.join(map(str, image.ravel()))) for image in images]

    train = pd.DataFrame({"emotion": LABELS, "pixels": joined(TRAIN)})
    write(folder, train, pd.DataFrame({"pixels": joined(TEST)}), None)
    check(understand(str(folder))[0])


@pytest.mark.parametrize("planar", [False, True])
def test_colours(folder: Path, understand: Understand, planar: bool) -> None:
    train, test = blobs(COUNT, 4, channels=3), blobs(TESTS, 5, channels=3)
    stored = [images.transpose(0, 3, 1, 2) if planar else images for images in (train, test)]
    names = numbered("pixel", count=432)
    write(folder, table(stored[0], names, label=LABELS), table(stored[1], names), None)
    data, section, said = understand(str(folder))
    check(data, train, test)
    assert (section["image_shape"], section["channels"], section["planar"]) == ([12, 12], 3, planar)
    assert "colour" in said


def test_images_that_are_not_square(folder: Path, understand: Understand) -> None:
    train, test = blobs(COUNT, 6, 10, 18), blobs(TESTS, 7, 10, 18)
    names = numbered("pixel", count=180)
    write(folder, table(train, names, label=LABELS), table(test, names), None)
    _, section, said = understand(str(folder))
    assert section["image_shape"] == [10, 18]
    assert "unsure   height and width may be others" in said


@pytest.mark.parametrize(("divisor", "limits"), [(15.9375, [0, 16]), (255, [0, 1]), (1 / 257, [0, 65535])])
def test_the_range_is_measured(folder: Path, understand: Understand, divisor: float, limits: list[int]) -> None:
    def scaled(images: np.ndarray) -> np.ndarray:
        return images / divisor if limits == [0, 1] else (images / divisor).round().astype(int)

    train, test = TRAIN.copy(), TEST.copy()
    train[0, 5, 5] = 255
    write(folder, table(scaled(train), numbered("pixel"), label=LABELS), table(scaled(test), numbered("pixel")), None)
    data, section, _ = understand(str(folder))
    assert section["pixel_range"] == limits
    assert np.abs(np.asarray(data.images, int) - train.reshape(COUNT, -1)).max() <= 255 / limits[1] / 2 + 0.5


def test_probabilities_in_the_order_of_the_labels(folder: Path, understand: Understand) -> None:
    sample = pd.DataFrame({"ImageId": np.arange(1, TESTS + 1), **{f"class_{name}": 0.25 for name in (3, 1, 0, 2)}})
    write(folder, table(TRAIN, numbered("pixel"), label=LABELS), table(TEST, numbered("pixel")), sample)
    _, section, said = understand(str(folder))
    assert section["submission_label"] == ["class_0", "class_1", "class_2", "class_3"]
    assert section["metric"] == "log-loss"
    assert "unsure" in said


def test_one_file_alone(folder: Path, understand: Understand) -> None:
    table(TRAIN, numbered("pixel"), label=LABELS).to_csv(folder / "A_Z Handwritten Data.csv", index=False)
    data, section, said = understand(str(folder / "A_Z Handwritten Data.csv"))
    assert section["test_file"] is None
    assert section["train_file"] == "A_Z Handwritten Data.csv"
    assert len(data.images) + len(data.test_images) == COUNT
    assert data.test_labels is not None
    assert "set apart" in said


def test_two_files_with_labels_in_an_archive_of_both_spellings(folder: Path, understand: Understand) -> None:
    for name, images, labels in (("mnist_train", TRAIN, LABELS), ("mnist_test", TEST, LABELS[:TESTS])):
        content = table(images, numbered("pixel", 1), label=labels).to_csv(index=False).encode()
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(content))
        (folder / name).mkdir()
        (folder / name / f"{name}.csv").write_bytes(content)
    data, section, _ = understand(str(folder))
    check(data)
    assert section["train_file"] == "mnist_train.csv"
    assert data.test_labels is not None
    assert data.test_labels.tolist() == LABELS[:TESTS].tolist()


def grown(count: int, seed: int, classes: int, side: int = 12, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images and classes 0 to classes - 1, each eight times in the first `8 * classes` images."""
    return blobs(count, seed, side, side, channels), np.arange(count) % classes


Files = dict[str, bytes]


def csv_bytes(frame: pd.DataFrame, header: bool = True) -> bytes:
    return frame.to_csv(index=False, header=header).encode()


def both(name: str, values: list[Any], names: list[str], label: str, header: bool = True, last: bool = False) -> Files:
    """Two files with labels in one folder, as data sets that are no competitions have them."""
    files = {}
    for part, count, seed in (("train", 8, 0), ("test", 2, 1)):
        images, classes = grown(count * len(values), seed, len(values), math.isqrt(len(names)))
        frame = table(images, names, **{label: [values[number] for number in classes]})
        files[name.format(part)] = csv_bytes(frame[[*names, label]] if last else frame, header)
    return files


def sign_language() -> Files:
    files = both("sign_mnist_{}.csv", [number for number in range(25) if number != 9], numbered("pixel", 1), "label")
    return files | {f"{Path(name).stem}/{name}": content for name, content in files.items()}


def kannada() -> Files:
    images, labels = grown(80, 0, 10)
    tests, ids = grown(20, 1, 10)[0], np.arange(20)
    return {
        "train.csv": csv_bytes(table(images, numbered("pixel"), label=labels)),
        "test.csv": csv_bytes(table(tests, numbered("pixel"), id=ids)),
        "sample_submission.csv": csv_bytes(pd.DataFrame({"id": ids, "label": 0})),
        "Dig-MNIST.csv": csv_bytes(table(images, numbered("pixel"), label=labels)),
    }


def hmnist() -> Files:
    images, labels = grown(56, 0, 7, channels=3)
    frame = table(images, [f"pixel{number:04}" for number in range(432)]).assign(label=labels)
    return {
        "hmnist_28_28_RGB.csv/hmnist_28_28_RGB.csv": csv_bytes(frame),
        "HAM10000_metadata.csv": b"lesion_id,image_id,dx\nHAM_1,ISIC_1,bkl\n",
    }


def az() -> Files:
    images, labels = grown(208, 0, 26)
    return {"A_Z Handwritten Data.csv": csv_bytes(table(images, numbered(""), letter=labels), header=False)}


def scikit_digits() -> Files:
    data = load_digits(n_class=10)
    images, labels = data.images[:400].astype(int), data.target[:400]
    return {
        "train.csv": csv_bytes(table(images[:300], numbered("pixel", count=64), label=labels[:300])),
        "test.csv": csv_bytes(table(images[300:], numbered("pixel", count=64))),
    }


def olivetti() -> Files:
    images, labels = grown(400, 0, 40, 16)
    shares = (images / 255).round(7)
    frame = table(shares, numbered("p", count=256), target=labels)
    return {"train.csv": csv_bytes(frame[:360]), "test.csv": csv_bytes(frame[360:].drop(columns="target"))}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (sign_language, {"classes": 24, "train_file": "sign_mnist_train.csv", "label_column": "label"}),
        (lambda: both("emnist-letters-{}.csv", [*range(1, 27)], numbered(""), "", header=False), {"classes": 26}),
        (lambda: both("emnist-balanced-{}.csv", [*range(47)], numbered(""), "", header=False), {"classes": 47}),
        (kannada, {"classes": 10, "test_id_column": "id", "train_file": "train.csv", "test_file": "test.csv"}),
        (lambda: both("k49_{}.csv", [*range(49)], numbered("pixel", 1), "class", last=True), {"label_column": "class"}),
        (az, {"classes": 26, "test_file": None, "train_file": "A_Z Handwritten Data.csv"}),
        (
            lambda: (
                both("fashion-mnist_{}.csv", [*range(10)], numbered("pixel", 1), "label")
                | {"t10k-images-idx3-ubyte": b"\0\0\10\3"}
            ),
            {"train_file": "fashion-mnist_train.csv", "test_file": "fashion-mnist_test.csv", "first_pixel": 1},
        ),
        (hmnist, {"channels": 3, "planar": False, "label_column": "label", "test_file": None}),
        (olivetti, {"classes": 40, "label_column": "target", "pixel_range": [0, 1], "image_shape": [16, 16]}),
        (scikit_digits, {"classes": 10, "pixel_range": [0, 16], "image_shape": [8, 8]}),
    ],
    ids=[
        "sign",
        "emnist-letters",
        "emnist-balanced",
        "kannada",
        "k49",
        "a-z",
        "fashion",
        "hmnist",
        "olivetti",
        "digits",
    ],
)
def test_files_of_the_shapes_that_are_published(
    folder: Path, understand: Understand, make: Callable[[], Files], expected: dict[str, Any]
) -> None:
    """docs/competitions.md lists them. A submission of any prediction passes the check that Kaggle's would."""
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for name, content in make().items():
            archive.writestr(name, content)
    data, section, _ = understand(str(folder / "archive.zip"))
    assert {key: section[key] for key in expected} == expected
    assert len(data.test_ids) == len(data.test_images) > 0
    assert sorted(np.unique(data.labels)) == list(range(section["classes"]))
    predicted = np.random.default_rng(0).dirichlet(np.ones(data.classes), len(data.test_ids))
    columns = section["submission_id"], section["submission_label"]
    frame = make_frame(data.test_ids, predicted, data.class_values, *columns)
    check_frame(frame, data.test_ids, data.class_values, *columns)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"a.csv": "x,y\n1,2\n"}, "no table has a column for each pixel"),
        ({"readme.txt": "hello"}, "no CSV at all"),
        ({"train.csv": "<!doctype html>"}, "a web page"),
        ({"train.csv": "version https://git-lfs.github.com/spec/v1\n"}, "a pointer of Git LFS"),
    ],
)
def test_what_is_no_competition_is_called_what_it_is(
    folder: Path, understand: Understand, content: dict[str, str], complaint: str
) -> None:
    for name, text in content.items():
        (folder / name).write_text(text)
    with pytest.raises(UserError, match=complaint):
        understand(str(folder))


def test_other_tables_in_the_folder_may_be_anything(folder: Path, understand: Understand) -> None:
    ids = [f"t{row}" for row in range(TESTS)]
    write(folder, table(TRAIN, numbered("pixel"), label=LABELS), table(TEST, numbered("pixel"), key=ids), None)
    pd.DataFrame({"key": ids, "answer": 0}).to_csv(folder / "how to answer.csv", index=False)
    (folder / "meta.csv").write_bytes("größe,farbe\n1,2\n".encode("latin-1"))
    (folder / "empty.csv").touch()
    (folder / "page.csv").write_text("<html>")
    data, section, _ = understand(str(folder))
    check(data)
    assert (section["sample_file"], section["submission_label"]) == ("how to answer.csv", "answer")
    assert data.test_ids.tolist() == ids


def test_files_of_the_same_name_in_two_folders_are_named_one_by_one(folder: Path, understand: Understand) -> None:
    for name, frame in (("learn", table(TRAIN, numbered("x"), label=LABELS)), ("predict", table(TEST, numbered("x")))):
        (folder / name).mkdir()
        frame.to_csv(folder / name / "data.csv", index=False)
    with pytest.raises(UserError, match=r"two files are called data\.csv") as caught:
        understand(str(folder))
    named = str(caught.value).rpartition("DATA=")[2]
    assert set(named.split(",")) == {str(folder / name / "data.csv") for name in ("learn", "predict")}
    data, section, _ = understand(f"{folder}/learn/data.csv,{folder}/predict/data.csv")
    check(data)
    assert (section["train_file"], section["test_file"]) == ("data.csv", "test-data.csv")


@pytest.mark.parametrize(
    ("ids", "fault"), [(range(3), "it has 3 ids for 12 images"), ([1] * TESTS, "an id occurs more than once in it")]
)
def test_a_sample_that_does_not_fit_is_left_out(
    folder: Path, understand: Understand, ids: Sequence[int], fault: str
) -> None:
    sample = pd.DataFrame({"key": ids, "sort": 0})
    write(folder, table(TRAIN, numbered("pixel"), sort=LABELS), table(TEST, numbered("pixel")), sample)
    data, section, said = understand(str(folder))
    check(data)
    assert (section["sample_file"], section["submission_id"], section["submission_label"]) == (None, "key", "sort")
    assert f"unsure   sample_submission.csv is left out: {fault}" in said


def test_swapped_names_do_not_hide_the_labels(folder: Path, understand: Understand) -> None:
    write(folder, table(TEST, numbered("pixel")), table(TRAIN, numbered("pixel"), label=LABELS), None)
    data, section, _ = understand(str(folder))
    check(data)
    assert (section["train_file"], section["test_file"]) == ("test.csv", "train.csv")


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (np.ones(COUNT, int), "all images have the label 1 in 'label'"),
        (np.arange(COUNT), "the smallest has 1 different images; every class needs three or more"),
        ([None, *LABELS[1:]], "row 2: the label is blank"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(
    folder: Path, understand: Understand, labels: Any, complaint: str
) -> None:
    write(folder, table(TRAIN, numbered("pixel"), label=labels), table(TEST, numbered("pixel")), None)
    with pytest.raises(UserError, match=complaint):
        understand(str(folder))


def test_labels_that_are_not_utf_8_are_not_mixed_up(folder: Path, understand: Understand) -> None:
    train = table(TRAIN, numbered("pixel"), label=[["é", "ü"][label % 2] for label in LABELS])
    (folder / "train.csv").write_bytes(train.to_csv(index=False).encode("latin-1"))
    table(TEST, numbered("pixel")).to_csv(folder / "test.csv", index=False)
    with pytest.raises(UserError, match="is not UTF-8; save the file again"):
        understand(str(folder))


def test_probabilities_for_other_classes_are_refused(folder: Path, understand: Understand) -> None:
    sample = pd.DataFrame({"id": range(TESTS), "a": 0.3, "b": 0.3, "c": 0.4})
    write(folder, table(TRAIN, numbered("pixel"), label=LABELS), table(TEST, numbered("pixel")), sample)
    with pytest.raises(UserError, match="submission_label has 3 columns of probabilities for 4 classes"):
        understand(str(folder))


def test_parquet_says_what_it_needs(folder: Path, understand: Understand, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_pyarrow(stream: Any) -> pd.DataFrame:
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", without_pyarrow)
    (folder / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="pyarrow reads parquet files"):
        understand(str(folder))


def test_missing_cells_are_named_by_place(folder: Path, understand: Understand) -> None:
    train = table(TRAIN, numbered("pixel"), label=LABELS).astype(object)
    train.iloc[2, 9] = None
    write(folder, train, table(TEST, numbered("pixel")), None)
    with pytest.raises(UserError, match="1 cells are blank, the first in row 4, column pixel8"):
        understand(str(folder))


def test_a_params_file_that_was_corrected_is_kept(folder: Path, understand: Understand, tmp_path: Path) -> None:
    write(folder, table(TRAIN, numbered("pixel"), label=LABELS), table(TEST, numbered("pixel")), None)
    understand(str(folder))
    understand(str(folder))  # the same again changes nothing
    file = tmp_path / "project" / "params.my-signs.yaml"
    file.write_text(file.read_text().replace("accuracy", "macro-f1") + "# mine\n")
    with pytest.raises(ValueError, match="too many values"):  # `understand` expects one params file
        understand(str(folder))
    assert file.read_text().endswith("# mine\n")
    assert file.with_suffix(".2.yaml").exists()


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("digit-recognizer (1).zip", "digit-recognizer"),
        ("kannada/archive.zip", "kannada"),
        ("A_Z Handwritten Data.csv", "a-z-handwritten-data"),
        ("x/train.csv,x/test.csv", "x"),
        ("/data.zip", "my-competition"),
        ("Kannada-MNIST.csv.zip", "kannada-mnist"),
    ],
)
def test_a_name_is_made_of_the_path(path: str, slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert slug_of(path) == slug
    assert json.dumps(slug)
