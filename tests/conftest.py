"""Toy competitions that take milliseconds, and folders to run the real commands in."""

import gc
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import settings

from digits.cli import main
from digits.config import KaggleParams, Params, load_params
from digits.console import Console
from digits.crossval import PRELOAD
from digits.engine import measured_engine
from digits.models import FAMILIES
from digits.pace import measured_pace
from digits.prepared import Prepared, save_prepared
from digits.prepared import load_prepared as load
from digits.runs import run_spec
from kaggle_server import KaggleServer, key_in, running

ROOT = Path(__file__).parent.parent
# whichever test is the first to need a process of its own: all of them have TensorFlow from its start
multiprocessing.set_forkserver_preload([FAMILIES["cnn"], *PRELOAD])
# a shell's background jobs are started with interruptions ignored, and so would be all commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("fuzz", max_examples=20_000)
REAL_DIGITS = ROOT.parent / "shared" / "data" / "digit-recognizer.zip"
REAL_FASHION = ROOT.parent / "shared" / "data" / "fashion-mnist.zip"

# networks, baselines and searches as small as they can be
SMALL = (
    "data.folds=3",
    "train.layers=4C3 MP2 8",
    "train.epochs=2",
    "train.min_steps=0",
    "train.batch_size=16",
    "train.label_smoothing=0.0",
    "train.views=[]",
    "train.budget=0.001",  # time for one fold, which is fitted in any case; MINUTES has time for all
    "train.beside=[]",
    "train.fits=1",
    "train.precision=float32",
    f"train.threads={joblib.cpu_count()}",
    "tune.trials=4",
    "tune.epochs=4",
    "tune.largest=1000",
    "tune.finalists=1",
    "tune.first={flat: {layers: 16 8}}",
    "tune.space={blocks: 1, convolutions: 1, filters: 16, dense_layers: 1, units: 64, batch_size: 64}",
    "baseline.models={small: {kind: mlp, deskew: false, components: null, hidden_layer_sizes: [16], activation: relu,"
    " solver: adam, alpha: 1e-4, batch_size: 16, learning_rate_init: 1e-2, max_iter: 4, early_stopping: false,"
    " n_iter_no_change: 3},"
    " nearest: {kind: knn, deskew: false, components: 8, n_neighbors: 3, weights: uniform}}",
)
# 12x12 images of three classes
TOY = (
    "competition.slug=toy",
    "competition.image_shape=[12,12]",
    "competition.classes=3",
    "competition.train_rows=180",
    "competition.test_rows=30",
    *SMALL,
)

MINUTES = "train.budget=10"


def toy_images(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar in the upper, middle or lower third, on noise: images uint8 (count, 144), labels (count,)."""
    labels = np.arange(count) % 3
    images = generator.integers(0, 60, (count, 12, 12))
    for image, label in zip(images, labels, strict=True):
        image[4 * label + 1 : 4 * label + 3, 2:10] += 150
    return images.reshape(count, -1).astype(np.uint8), labels


def write_toy_files(folder: Path, train_rows: int = 180, test_rows: int = 30) -> None:
    """The three CSVs of the toy competition."""
    generator = np.random.default_rng(1)
    columns = [f"pixel{number}" for number in range(144)]
    images, labels = toy_images(train_rows, generator)
    train = pd.DataFrame(images, columns=columns)
    train.insert(0, "label", labels)
    folder.mkdir(parents=True, exist_ok=True)
    train.to_csv(folder / "train.csv", index=False, lineterminator="\n")
    pd.DataFrame(toy_images(test_rows, generator)[0], columns=columns).to_csv(
        folder / "test.csv", index=False, lineterminator="\n"
    )
    ids = np.arange(1, test_rows + 1)
    pd.DataFrame({"ImageId": ids, "Label": 0}).to_csv(
        folder / "sample_submission.csv", index=False, lineterminator="\r\n"
    )


def pytest_collection_finish() -> None:
    """What all tests load stays: every fit ends in a collection, which need not go through it."""
    gc.freeze()


@pytest.fixture
def params() -> Params:
    """params.yaml as it is."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def toy_params() -> Params:
    """params.yaml, cut down to the toy competition."""
    return load_params(ROOT / "params.yaml", TOY)


@pytest.fixture
def toy_files(tmp_path: Path) -> Path:
    """A folder with the toy competition's CSVs."""
    folder = tmp_path / "toy-files"
    write_toy_files(folder)
    return folder


@pytest.fixture
def toy_data(tmp_path: Path) -> Prepared:
    """Prepared toy arrays: 180 labelled images in 3 folds and a holdout of 18, 30 test images."""
    return prepare_toy(tmp_path / "prepared")


def prepare_toy(folder: Path) -> Prepared:
    """The toy arrays, written to `folder`."""
    generator = np.random.default_rng(2)
    images, labels = toy_images(180, generator)
    folds = (np.arange(180) // 3 % 10) % 3
    folds[162:] = -1
    arrays = {
        "images": images,
        "labels": labels,
        "folds": folds.astype(np.int8),
        "test_images": toy_images(30, generator)[0],
        "test_ids": np.arange(1, 31),
    }
    about = {"provenance": "local", "image_shape": [12, 12], "classes": 3, "hash": "toy"}
    save_prepared(folder, arrays, about)
    return load(folder)


@dataclass(frozen=True)
class Shown:
    """What a command returned and printed."""

    returncode: int
    stdout: str
    stderr: str


Digits = Callable[..., Shown]


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with what the probe of this machine found, and how fast the toy network is here.

    It is one for all processes of the tests: whichever needs it first measures.
    """
    own = tmp_path_factory.getbasetemp()
    folder, console = (own if worker_id == "master" else own.parent) / "machines", Console(plain=True)
    data = prepare_toy(tmp_path_factory.mktemp("toy") / "prepared")
    model = load_params(ROOT / "params.yaml", TOY).train.spec.model_dump(mode="json")
    with FileLock(folder.with_suffix(".lock")):
        engine = measured_engine(folder, console)
        measured_pace(data, run_spec("cnn", model, "/255", 0, data), engine, folder, console)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, probed: Path) -> Path:
    """An empty project: a folder with params.yaml, and what the probe of this machine found."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(probed, folder / "runs" / "machines")
    return folder


def digits_arguments(*arguments: str, toy: bool = True, also: tuple[str, ...] = ()) -> list[str]:
    """Arguments of the command, on the toy competition unless told otherwise; `also`: further overrides."""
    overrides = (*(TOY if toy else ()), *also)
    return [*arguments, *(["--set", " ".join(f"'{item}'" for item in overrides)] if overrides else [])]


def digits_command(*arguments: str, also: tuple[str, ...] = ()) -> list[str]:
    """The command line of the package on the toy competition, for a process of its own."""
    return [sys.executable, "-m", "digits", *digits_arguments(*arguments, also=also)]


@pytest.fixture
def digits(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Digits:
    """Run the command in the workspace. TensorFlow stays loaded, which saves seconds each time."""
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("HOME", str(workspace))
    for name in [name for name in os.environ if name.startswith(("KAGGLE_", "XDG_"))]:
        monkeypatch.delenv(name)

    def run(*arguments: str, toy: bool = True, also: tuple[str, ...] = ()) -> Shown:
        capsys.readouterr()
        status = main(digits_arguments(*arguments, toy=toy, also=also))
        shown = capsys.readouterr()
        return Shown(status, shown.out, shown.err)

    return run


# everything that Kaggle is waited for is over soon
QUICK = KaggleParams(timeout=8, retries=2, pause=0.05, listed=0.3, poll=0.05, wait=0.01)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no credentials anywhere else."""
    for name in [name for name in os.environ if name.startswith("KAGGLE_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A running server that Kaggle's client takes for Kaggle, and a key that it knows."""
    key_in(home)
    with running(KaggleServer()) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
