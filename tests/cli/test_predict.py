"""make predict: a file of images becomes a CSV of labels and a contact sheet, by the blend that made the submission."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from digits.cli.main import main
from toys import ROOT, Shown, digits_arguments, toy_images, write_toy_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, probed: Path) -> Path:
    """A project with a blend of practice images, then one of the toy competition."""
    folder = tmp_path_factory.mktemp("predict") / "project"
    write_toy_files(folder / "toy-files")
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(probed, folder / "runs" / "machines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        assert main(digits_arguments("submit", "--data=practice")) == 0
        shutil.copytree(folder / "runs", folder / "practice")
        assert main(digits_arguments("baseline", "--data=toy-files", "--only=nearest")) == 0
        assert main(digits_arguments("submit", "--data=toy-files")) == 0
    return folder


@pytest.fixture
def project(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(finished)
    yield finished
    shutil.rmtree(finished / "predictions", ignore_errors=True)


def predict(capsys: pytest.CaptureFixture[str], *arguments: str, also: str = "train.seed=42") -> Shown:
    capsys.readouterr()
    status = main(digits_arguments("predict", *arguments, also=(also,)))
    shown = capsys.readouterr()
    return Shown(status, shown.out, shown.err)


def blend_of(slug: str, folder: Path) -> Path:
    [submission] = (folder / "submissions").glob(f"{slug}-*.csv")
    return folder / "runs" / f"blend-{submission.stem.removeprefix(f'{slug}-')}"


def test_the_test_images_get_what_the_submission_says_to_the_bit(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = predict(capsys, "--file=toy-files/test.csv")
    assert shown.returncode == 0, shown.stderr
    found = pd.read_csv("predictions/test.csv", keep_default_na=False)
    [submission] = Path("submissions").glob("toy-*.csv")
    assert found[["ImageId", "Label"]].equals(pd.read_csv(submission))
    assert [*found.columns[2:]] == ["probability", "second", "second_probability", "disagree"]
    name = blend_of("toy", project)
    known = np.sort(np.load(name / "probabilities.npz")["test"], axis=1)
    assert np.array_equal(found["probability"], known[:, -1])
    assert np.array_equal(found["second_probability"], known[:, -2])
    assert {*found["disagree"]} <= {"", "yes"}
    assert f"{(found['disagree'] == 'yes').sum()} on which the models" in " ".join(shown.stdout.split())
    assert name.name in shown.stdout
    assert "practice" not in shown.stdout
    with Image.open("predictions/test.png") as sheet:
        assert sheet.width > 500


def test_a_practice_blend_labels_too_and_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no other; here a training file, whose labels are compared."""
    (project / "runs").rename(project / "all")
    try:
        shutil.copytree(project / "practice", project / "runs")
        shown = predict(capsys, "--file=toy-files/train.csv")
    finally:
        shutil.rmtree(project / "runs")
        (project / "all").rename(project / "runs")
    assert f"{blend_of('practice', project).name} has learned practice images only" in shown.stdout
    right = (pd.read_csv("predictions/train.csv")["Label"] == pd.read_csv("toy-files/train.csv")["label"]).mean()
    assert f"{right:.4f} of those in the file are right" in shown.stdout


@pytest.mark.parametrize("name", [f"-x ü $HOME;{'数' * 60}.csv", "-drawn pictures.2"], ids=["CSV", "folder"])
def test_strange_names_work(name: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(name)
    if name.endswith("csv"):
        shutil.copy("toy-files/test.csv", file)
    else:
        file.mkdir()
        for number, image in enumerate(toy_images(3, np.random.default_rng(0))[0].reshape(-1, 12, 12)):
            Image.fromarray(image).save(file / f"{number}.png")
    shown = predict(capsys, "--file", name)
    assert shown.returncode == 0, shown.stderr
    made = Path("predictions", name.removesuffix(".csv")[:60] + ".csv")
    assert len(pd.read_csv(made)) == (30 if name.endswith("csv") else 3)
    assert made.with_name(made.name.removesuffix("csv") + "png").exists()


def test_what_is_missing_or_does_not_fit_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("predictions").mkdir()
    shutil.copy("toy-files/test.csv", "predictions")
    for arguments, expected in (
        ((), "which images? type: make predict FILE=new.csv"),
        (("--file=no.csv",), "there is no file no.csv"),
        (("--file=toy-files/sample_submission.csv",), "144 of the 144 pixel columns are missing"),
        (("--file=predictions/test.csv",), "move the file"),
        (("--file=toy-files/test.csv", "--blend=blend-x"), "there is no blend blend-x"),
    ):
        shown = predict(capsys, *arguments)
        assert (shown.returncode, shown.stdout) == (2, ""), arguments
        assert expected in shown.stderr
    for also, expected in (
        ("competition.classes=4", "competition.classes = 3, but the params say 4"),
        ("competition.slug=other", "no blend of other yet; type: make submit"),
    ):
        shown = predict(capsys, "--file=toy-files/test.csv", also=also)
        assert (shown.returncode, shown.stdout) == (2, "")
        assert expected in shown.stderr
    assert [path.name for path in Path("predictions").iterdir()] == ["test.csv"]
