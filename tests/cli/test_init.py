"""Other people's files, from `make init` to a checked submission; refusals name a remedy that works."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from digits.config import Paths
from digits.data.dataset import load_dataset
from toys import SMALL, Digits, write_toy_files

pytestmark = pytest.mark.slow

QUICK = tuple(
    f"--set={each}"
    for each in (*SMALL, "data.folds=2", "train.layers=8C3 MP2 16", "train.epochs=60", "train.learning_rate=0.01")
)
COUNT, TESTS, SIDE = 90, 24, 12
KINDS = ["ant", "bee, wild", "ölme"]  # commas and umlauts are text like any other
COLOURS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250]])


def coloured(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, SIDE, SIDE, 3) of a bright spot whose colour is the class, and the classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = generator.integers(0, 20, (count, SIDE, SIDE, 3))
    for image, label in zip(images, labels, strict=True):
        y, x = generator.integers(1, 5, 2)
        image[y : y + 6, x : x + 6] = COLOURS[label]
    return images, labels


def write_odd_files(folder: Path) -> np.ndarray:
    """Colours plane by plane, names of classes, ids with zeros, a sample in another order; returns the classes."""
    folder.mkdir()
    names = [f"c{number:04}" for number in range(SIDE * SIDE * 3)]
    images, labels = coloured(COUNT, 0)
    tests, truth = coloured(TESTS, 1)

    def frame(pictures: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1), columns=names)

    ids = [f"{number:05}" for number in range(7, 7 + TESTS)]
    train = frame(images).assign(insect=[KINDS[label] for label in labels], note="x")
    train.to_csv(folder / "insects_train.csv", index=False)
    pd.concat([pd.DataFrame({"photo": ids}), frame(tests)], axis=1).to_csv(folder / "insects_test.csv", index=False)
    sample = pd.DataFrame({"photo": ids[::-1], "insect": KINDS[0]})
    sample.to_csv(folder / "sampleSubmission.csv", index=False)
    return truth[::-1]


def test_from_strange_files_to_a_checked_submission(workspace: Path, digits: Digits) -> None:
    truth = write_odd_files(workspace / "Insects of 2026")
    told = digits("init", "--data", "Insects of 2026", toy=False)
    assert told.returncode == 0, told.stderr
    assert "12x12x3, colour" in told.stdout
    assert "bee, wild: 30" in told.stdout
    params = ("--params", "params.insects-of-2026.yaml")
    section = yaml.safe_load((workspace / params[1]).read_text())["competition"]
    assert (section["channels"], section["planar"], section["label_column"]) == (3, True, "insect")
    made = digits("submit", *params, *QUICK, toy=False)
    assert made.returncode == 0, made.stderr
    [path] = workspace.glob("submissions/insects-of-2026-*.csv")
    frame = pd.read_csv(path, dtype=str)
    assert frame["photo"].tolist() == [f"{number:05}" for number in range(7, 7 + TESTS)][::-1]
    right = frame["insect"] == [KINDS[label] for label in truth]
    assert right.mean() > 0.8  # of images whose classes differ by nothing but the colour
    assert "Nothing to do" in digits("submit", *params, *QUICK, toy=False).stdout
    assert digits("report", *params, toy=False).returncode == 0
    assert "bee, wild" in (workspace / "reports" / "index.html").read_text()


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (lambda train, test: (train.rename(columns={"label": "class"}), test), "competition.label_column=class"),
        (
            lambda train, test: tuple(
                frame.rename(columns=lambda name: f"px{int(name[5:]) + 1}" if name.startswith("pixel") else name)
                for frame in (train, test)
            ),
            "competition.first_pixel=1",
        ),
        (lambda train, test: (train.iloc[:, :101], test.iloc[:, :100]), "competition.image_shape=[10,10]"),
    ],
    ids=["label", "pixels", "shape"],
)
def test_what_a_refusal_advises_works_as_it_is_printed(workspace: Path, digits: Digits, changed, key: str) -> None:  # type: ignore[no-untyped-def]
    files = workspace / "shots"
    write_toy_files(files)
    train, test = changed(pd.read_csv(files / "train.csv"), pd.read_csv(files / "test.csv"))
    train.to_csv(files / "train.csv", index=False)
    test.to_csv(files / "test.csv", index=False)
    refused = digits("data", "--data", "shots")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) <= 6
    [advice] = re.findall(r'SET="([^"]+)"', refused.stderr)
    assert key in advice
    followed = digits("data", "--data", "shots", "--sets", advice)
    assert followed.returncode == 0, followed.stderr
    assert "make init DATA=shots writes a params file that fits these files" in refused.stderr
    assert digits("init", "--data", "shots", toy=False).returncode == 0
    assert digits("data", "--params", "params.shots.yaml", toy=False).returncode == 0


def test_advice_is_not_given_where_it_would_not_help(workspace: Path, digits: Digits) -> None:
    files = workspace / "shots"
    write_toy_files(files)
    train = pd.read_csv(files / "train.csv").drop(columns=["label"])
    train.to_csv(files / "train.csv", index=False)
    refused = digits("data", "--data", "shots")
    assert refused.returncode == 2
    assert "no column 'label'" in refused.stderr
    assert "no column looks like a label" in refused.stderr
    assert "SET=" not in refused.stderr
    assert "make init" not in refused.stderr
    assert len(refused.stderr.splitlines()) <= 6


def test_files_of_other_names_are_shown_the_way(workspace: Path, digits: Digits) -> None:
    write_toy_files(workspace / "shots")
    with zipfile.ZipFile(workspace / "my.zip", "w") as archive:
        for name, other in (("train.csv", "learn.csv"), ("test.csv", "predict.csv")):
            archive.write(workspace / "shots" / name, f"deep/{other}")
    refused = digits("data", "--data", "my.zip")
    assert "there is no train.csv and no test.csv" in refused.stderr
    assert "make init DATA=my.zip" in refused.stderr
    assert digits("init", "--data", "my.zip", toy=False).returncode == 0
    made = digits("data", "--params", "params.my.yaml", toy=False)
    assert made.returncode == 0, made.stderr


def test_the_accuracy_on_known_test_labels_is_shown_and_decides_nothing(workspace: Path, digits: Digits) -> None:
    files = workspace / "data" / "raw"
    write_toy_files(files)
    plain = digits("submit")
    assert plain.returncode == 0, plain.stderr
    [before] = (path.read_bytes() for path in workspace.glob("submissions/toy-*.csv"))
    test = pd.read_csv(files / "test.csv")
    test.insert(0, "label", np.arange(len(test)) % 3)
    test.to_csv(files / "test.csv", index=False)
    labelled = digits("submit")
    assert "test.csv has labels" in labelled.stdout
    submitted = pd.read_csv(next(workspace.glob("submissions/toy-*.csv")))["Label"]
    share = float((submitted == np.arange(len(test)) % 3).mean())
    assert f"{share:.4f} of the labels in the test file are right" in labelled.stdout
    assert before in [path.read_bytes() for path in workspace.glob("submissions/toy-*.csv")]
    known = [load_dataset(folder).test_labels for folder in Paths(workspace).processed.iterdir()]
    assert sum(labels is not None for labels in known) == 1


def test_a_competition_is_downloaded_by_its_slug_or_says_what_is_missing(workspace: Path, digits: Digits) -> None:
    told = digits("init", "--data", "kaggle:some-competition", toy=False)
    assert told.returncode == 2
    assert "no Kaggle credentials" in told.stderr
