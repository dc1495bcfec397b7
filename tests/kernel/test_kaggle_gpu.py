"""`make kaggle-gpu`: the real command and client, and a server that runs the pushed script; then the blend here."""

import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.common.sealed import read_json
from digits.config import load_params
from digits.kernel.placing import place
from digits.training.elsewhere import made_elsewhere
from digits.training.runs import RunFolder, RunSpec
from kaggle_server import KEY, LOSE, key_in, running
from kernels_server import KernelsServer
from toys import DAMAGES, ROOT, TOY, Digits, Shown, report_content, write_toy_files

SOON = ("kaggle.poll_interval=0.1", "kaggle.retries=1", "kaggle.backoff=0.1", "kaggle.listing_timeout=0.5")
VERSION = "99.1"  # of Keras, as Kaggle's image has another one than we
PASSWORD = "canary-of-a-password"


@pytest.fixture
def kernels(digits: Digits, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelsServer]:
    """A running server with the toy competition, whose machines have another version of Keras."""
    monkeypatch.setenv("HOME", str(home))
    key_in(home)
    write_toy_files(tmp_path / "files")
    about = tmp_path / "image" / f"keras-{VERSION}.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text(f"Metadata-Version: 2.1\nName: keras\nVersion: {VERSION}\n")
    with running(KernelsServer(tmp_path, tmp_path / "files")) as server:
        assert isinstance(server, KernelsServer)
        server.environment_there["PYTHONPATH"] = str(tmp_path / "image")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def session(digits: Digits, kernels: KernelsServer, *also: str) -> Shown:
    return digits("kaggle-gpu", "--data", str(kernels.files), also=(*SOON, "train.budget=0.001", *also))


@pytest.mark.slow
def test_the_whole_way(digits: Digits, kernels: KernelsServer, workspace: Path) -> None:
    secret = f"tune.storage=postgresql://someone:{PASSWORD}@host/studies"
    shown = session(digits, kernels, secret)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Kaggle: 1.0 of 30 GPU hours of this week are used; new ones come on 2026-12-05 00:00 UTC" in shown.stdout
    assert f"keras {VERSION}" in shown.stdout, "the log is shown while it comes"
    assert not kernels.kernels, "nothing is left"
    [kernel] = kernels.deleted
    # no secret goes there, or comes back
    for text in (kernel.request["text"], kernel.log(), shown.stdout):
        assert KEY not in text
        assert PASSWORD not in text
    with zipfile.ZipFile(next(kernel.working.glob("*.zip"))) as packed:
        assert not any(word.encode() in packed.read(name) for name in packed.namelist() for word in (KEY, PASSWORD))

    [made] = workspace.glob("runs/cnn-*/fold-0/made.json")
    run = made.parent.parent
    assert (read_json(made) or {})["libraries"]["keras"] == VERSION
    spec = RunSpec(**read_json(run / "run.json") or {})
    assert RunFolder(workspace / "runs", spec).path == run
    assert (run / "log.txt").exists()
    assert not [*(workspace / "runs" / "kaggle").glob("digits-*")]

    # blended with a fit of this computer, which has another version of Keras and so another run
    shown = digits("submit", "--data", str(kernels.files), "--no-upload")
    assert shown.returncode == 0, shown.stderr
    [blend] = workspace.glob("runs/blend-*/blend.json")
    units = (read_json(blend) or {})["units"]
    assert len(units) == 2
    assert units[run.name] == ["fold-0"]
    content = report_content(workspace)
    assert {each.made for each in content.runs} == {"", f"Kaggle, processor, TensorFlow {_tensorflow()}"}
    listed = digits("runs", "--data", str(kernels.files)).stdout
    assert any(run.name in line and line.rstrip().endswith("make kaggle-gpu") for line in listed.splitlines())

    # another session fits from other seeds; it dies, and its finished fit is there all the same
    kernels.dies = True
    shown = session(digits, kernels)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "the session on Kaggle has failed: the machine was lost; its log is" in shown.stdout
    assert len([*workspace.glob("runs/cnn-*/fold-0/made.json")]) == 2
    assert not kernels.kernels

    # what another code has fitted is no member
    params = load_params(ROOT / "params.yaml", TOY)
    found = made_elsewhere(params, workspace / "runs", {spec.data})
    assert [each.seed - params.train.seed for each in sorted(found, key=lambda each: each.seed)] == [0, 1000]
    assert made_elsewhere(params, workspace / "runs", {"other"}) == []
    assert content.data
    left, damaged = workspace.parent / "left", workspace.parent / "damaged"
    for name, damage in DAMAGES.items():
        shutil.rmtree(left, ignore_errors=True)
        left.mkdir()
        [archive] = (Path(shutil.copy(path, left)) for path in kernel.working.glob("*.zip"))
        damage(archive, random.Random(name))
        (damaged / "runs").mkdir(parents=True, exist_ok=True)
        placed = place(left, content.data, damaged / "runs")
        assert placed.units == ()
        assert len(placed.faults) == 1, name
        assert not [*(damaged / "runs").iterdir()], name


def _tensorflow() -> str:
    from importlib.metadata import version

    return version("tensorflow")


@pytest.mark.slow
def test_what_the_image_lacks_is_installed_by_a_second_session_with_internet(
    digits: Digits, kernels: KernelsServer, workspace: Path, tmp_path: Path
) -> None:
    """Here nothing can be installed, and that is what is said."""
    about = tmp_path / "image" / f"keras-{VERSION}.dist-info" / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.10.0\n")
    kernels.environment_there["PIP_NO_INDEX"] = "1"
    shown = session(digits, kernels)
    assert shown.returncode == 2
    assert "Kaggle's image lacks keras>=3.15: once more, with internet to install it" in shown.stdout
    [said] = shown.stderr.splitlines()
    log = workspace / "runs" / "kaggle" / "session.log"
    assert said == f"error: the session on Kaggle has failed: Kaggle's image lacks keras>=3.15; its log is {log}"
    assert [kernel.request["enableInternet"] for kernel in kernels.deleted] == [False, True]
    session(digits, kernels)
    assert [kernel.request["enableInternet"] for kernel in kernels.deleted] == [False, True, True], "what is known"
    assert not kernels.kernels


@pytest.mark.slow
def test_one_line_says_why_nothing_can_begin(digits: Digits, kernels: KernelsServer, home: Path) -> None:
    kernels.used = "107000s"
    shown = session(digits, kernels, "train.budget=30")
    assert "0.3 GPU hours are left at Kaggle, and this takes up to 0.7; use a smaller BUDGET; new ones" in shown.stderr
    for wrong, said in {
        "train.budget=601": "BUDGET=601: Kaggle's sessions have room for 600 minutes",
        "submit.upload=false": "submit.upload is false in the params, as Kaggle has no competition toy",
    }.items():
        assert said in session(digits, kernels, wrong).stderr
    (home / ".kaggle" / "kaggle.json").unlink()
    assert "no Kaggle credentials" in session(digits, kernels).stderr
    assert kernels.pushed == []


@pytest.mark.slow
def test_a_competition_of_code_gets_the_script_once(
    digits: Digits, kernels: KernelsServer, workspace: Path, tmp_path: Path
) -> None:
    """The script predicts as here, is kept and submitted; Kaggle then runs it on images that nobody has seen."""
    code = (*SOON, "submit.how=code")
    kernels.faults["CreateCodeSubmission"] = [LOSE]  # its answer is lost
    shown = digits("submit", "--data", str(kernels.files), also=code)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert len(kernels.submissions) == 1
    [kernel] = kernels.kernels.values()
    assert (kernel.request["isPrivate"], kernel.request["enableInternet"], kernel.request["enableGpu"]) == (
        True,
        False,
        False,
    )
    assert KEY not in kernel.request["text"]
    [ours] = workspace.glob("submissions/toy-*.csv")
    assert (kernel.working / "submission.csv").read_bytes() == ours.read_bytes()
    assert "public score 0.99500" in shown.stdout
    again = digits("submit", "--data", str(kernels.files), also=code)
    assert again.returncode == 0
    assert (len(kernels.submissions), len(kernels.pushed)) == (1, 1)

    hidden, kernels.new_place = kernels.files / "test.csv", False
    lines = hidden.read_text().splitlines()
    hidden.write_text("\n".join([lines[0], *lines[1:8] * 2, ""]))
    kernel = kernels.start(kernel.request)
    assert kernel.process
    assert kernel.process.wait(timeout=120) == 0, kernel.log()
    assert len((kernel.working / "submission.csv").read_text().splitlines()) == 15
