"""Toy competitions that take milliseconds, and what tests of several rooms share."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.config import KaggleParams, Paths, load_params
from digits.data.dataset import Dataset, load_dataset, save_dataset

if TYPE_CHECKING:
    from digits.report.gather import Content

ROOT = Path(__file__).parent.parent
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
    "train.tta=[]",
    "train.budget=0.001",  # time for one fold, which is fitted in any case; MINUTES has time for all
    "train.candidates=[default]",  # whose timing `probed` has measured
    "train.extra=[]",
    "train.refits=1",
    "train.precision=float32",
    f"train.threads={joblib.cpu_count()}",
    "train.jit_compile=false",
    "tune.budget=1",
    "tune.n_trials=4",
    "tune.finalists=1",
    "tune.seeds=1",
    "tune.enqueue={flat: {layers: 16 8}}",
    "tune.space={blocks: 2, convolutions: 1, filters: 16, dense_layers: 1, units: 64, batch_size: 64}",
    "baseline.models={small: {kind: mlp, deskew: false, n_components: null, hidden_layer_sizes: [16], activation: relu,"
    " solver: adam, alpha: 1e-4, batch_size: 16, learning_rate_init: 1e-2, max_iter: 4, early_stopping: false,"
    " n_iter_no_change: 3},"
    " nearest: {kind: knn, deskew: false, n_components: 8, n_neighbors: 3, weights: uniform}}",
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


def make(
    *words: str, cwd: Path = ROOT, environment: Mapping[str, str] = os.environ, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run make as a user does: without what a make that has started the tests has left in the environment."""
    outside = {name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *words], cwd=cwd, env=outside, capture_output=True, text=True, check=check)


def params_faults(*overrides: str) -> list[str]:
    """Faults, a line each, of params.yaml with overrides."""
    with pytest.raises(UserError) as caught:
        load_params(ROOT / "params.yaml", overrides)
    return str(caught.value).splitlines()


def toy_images(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar in the upper, middle or lower third, on noise: images uint8 (count, 144), labels (count,)."""
    labels = np.arange(count) % 3
    images = generator.integers(0, 60, (count, 12, 12))
    for image, label in zip(images, labels, strict=True):
        image[4 * label + 1 : 4 * label + 3, 2:10] += 150
    return images.reshape(count, -1).astype(np.uint8), labels


def coloured_images(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise, mostly of the label's channel: images uint8 (count, 432), labels (count,).

    The mean of a pixel's three channels is any number, whatever the label: it is told by nothing but colour.
    """
    labels = np.arange(count) % 3
    shares = np.array([[6, 2, 1], [1, 6, 2], [2, 1, 6]])[labels]
    images = generator.integers(0, 43, (count, 144, 1)) * shares[:, None]
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


def prepare_toy(folder: Path, coloured: bool = False) -> Dataset:
    """The toy arrays, written to `folder`; coloured: with three channels."""
    generator, make = np.random.default_rng(2), coloured_images if coloured else toy_images
    images, labels = make(180, generator)
    folds = (np.arange(180) // 3 % 10) % 3
    folds[162:] = -1
    arrays = {
        "images": images,
        "labels": labels,
        "folds": folds.astype(np.int8),
        "test_images": make(30, generator)[0],
        "test_ids": np.arange(1, 31),
    }
    about = {
        "slug": "toy",
        "provenance": "local",
        "image_shape": [12, 12],
        "channels": 3 if coloured else 1,
        "pixel_range": [0, 255],
        "classes": 3,
        "class_values": [0, 1, 2],
        "class_names": ["0", "1", "2"],
        "test_labels": None,
        "hash": "toy",
    }
    save_dataset(folder, arrays, about)
    return load_dataset(folder)


@dataclass(frozen=True)
class Shown:
    """What a command returned and printed."""

    returncode: int
    stdout: str
    stderr: str


Digits = Callable[..., Shown]


def digits_arguments(*arguments: str, toy: bool = True, also: tuple[str, ...] = ()) -> list[str]:
    """Arguments of the command line, on the toy competition unless `toy` is false; also: further overrides."""
    return [*arguments, *(f"--set={override}" for override in (*(TOY if toy else ()), *also))]


def digits_command(*arguments: str, also: tuple[str, ...] = ()) -> list[str]:
    """The command line of the package on the toy competition, for a process of its own."""
    return [sys.executable, "-m", "digits", *digits_arguments(*arguments, also=also)]


# What fails is tried again soon. The timeout is long, because only a fault ends in it: tests of it set their own.
# What may have arrived is sent again as soon as the list was looked at: tests of that set a time of their own.
QUICK = KaggleParams(
    timeout=120,
    retries=2,
    backoff=0.05,
    listing_timeout=0.3,
    resend_after=0,
    poll_interval=0.05,
    score_timeout=0.01,
)


def quick(**changes: float) -> KaggleParams:
    """QUICK with some values changed. Raises ValidationError where a name is unknown."""
    return KaggleParams.model_validate(QUICK.model_dump() | changes)


def report_content(workspace: Path, toy: bool = True, also: tuple[str, ...] = ()) -> "Content":
    """What `make report` finds in a workspace with one data set."""
    from digits.report.gather import gather

    paths = Paths(workspace)
    [prepared] = paths.processed.iterdir()
    return gather(load_params(ROOT / "params.yaml", (*(TOY if toy else ()), *also)), load_dataset(prepared), paths)


def _changed(path: Path, change: Callable[[bytearray, int], None], generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    change(content, generator.randrange(len(content)))
    path.write_bytes(content)


def _flip(content: bytearray, at: int) -> None:
    content[at] ^= 1 << at % 8


def _zero(content: bytearray, at: int) -> None:
    content[at : at + 512] = bytes(len(content[at : at + 512]))


def _cut(content: bytearray, at: int) -> None:
    del content[at:]


# what disks, cables and memory do to files
DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "a bit flipped": lambda path, generator: _changed(path, _flip, generator),
    "bytes zeroed": lambda path, generator: _changed(path, _zero, generator),
    "cut": lambda path, generator: _changed(path, _cut, generator),
    "emptied": lambda path, generator: path.open("wb").close(),
}


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
