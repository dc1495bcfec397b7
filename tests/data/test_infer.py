"""Files of many kinds are understood; what is written for them makes the arrays that the files mean."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from digits.cli.describe import describe, slug_of
from digits.common.console import Console
from digits.common.errors import UserError
from digits.data.dataset import Dataset, load_dataset
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


def test_all_pixels_in_a_cell(folder: Path, understand: Understand) -> None:
    def joined(images: np.ndarray) -> list[str]:
        return [" ".join(map(str, image.ravel())) for image in images]

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
