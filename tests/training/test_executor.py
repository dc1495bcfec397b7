"""Fits in processes of their own, until the time is used up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.training.budget import Part
from digits.training.crossval import preload
from digits.training.executor import Executed, execute
from digits.training.runs import RunFolder, RunSpec, run_spec
from digits.training.schedule import Fit, Goal, Sizes, Timing

pytestmark = pytest.mark.slow

SIZES = Sizes(fold=108, refit=180, predicted=102)
TIMING = Timing(start=1.0, per_image=1e-3, per_prediction=1e-4)


@pytest.fixture
def spec(toy_params: Params, toy_data: Dataset) -> RunSpec:
    return run_spec("cnn", toy_params.train.spec.model_dump(mode="json"), "/255", 0, toy_data)


def spent(
    data: Dataset,
    folder: RunFolder,
    goal: Goal,
    left: float = 600,
    latest: float = 700,
    places: Sequence[str | None] = (None, None),
    timing: Timing = TIMING,
) -> Executed:
    part = Part("some", folder.spec, goal, timing, left)
    return execute(data, part, SIZES, folder.path.parent, left, latest, places, Console(plain=True))


def test_two_workers_give_the_same_bits_as_one(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    goal = Goal(folds=2, epochs=2, seed=0, refits=1)
    folders = [RunFolder(tmp_path / name, spec) for name in ("one", "two")]
    for workers, folder in enumerate(folders, 1):
        assert spent(toy_data, folder, goal, places=[None] * workers) == Executed(3, interrupted=False)
        assert spent(toy_data, folder, goal, places=[None] * workers) == Executed(0, interrupted=False)
    one, two = folders
    assert [fit.seed for fit in list(one.units(3).refits)] == [fit.seed for fit in list(two.units(3).refits)] == [1]
    results = [folder.units(3).result(toy_data, [0, 1]) for folder in folders]
    assert (results[0].oof == results[1].oof).all()
    assert (results[0].test[:2] == results[1].test[:2]).all()


def test_what_would_end_too_late_is_given_up_but_for_the_first_fold(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path, spec)
    goal = Goal(folds=1, epochs=2, seed=0, refits=5)
    # the timing promises that fits end at once, and they do not
    found = spent(toy_data, folder, goal, left=0.5, latest=0.6, timing=Timing(0.01, 1e-6, 1e-6))
    assert found == Executed(1, interrupted=False)
    assert (list(folder.units(3).folds), list(folder.units(3).refits)) == ([0], [])
    assert "refit, seed 1: stopped, it would have ended too late" in capsys.readouterr().out


def test_a_gpu_is_named_to_the_fit_that_has_it(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    """With GPUs that are not there, TensorFlow takes the processor; two fits beside each other do not mind."""
    folder = RunFolder(tmp_path, spec)
    goal = Goal(folds=2, epochs=1, seed=0, refits=0)
    assert spent(toy_data, folder, goal, places=["5", "7"]).fits == 2
    assert list(folder.units(3).folds) == [0, 1]


_PRELOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from tensorflow.python.eager import context
print(context.context()._physical_devices)
"""


def test_nothing_has_looked_for_gpus_before_a_fit_is_forked() -> None:
    """CUDA cannot be used by the children of a process that has started it, nor another GPU be named to them."""
    command = [sys.executable, "-c", _PRELOADED, *preload("cnn")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"


def test_a_fit_that_fails_ends_the_others_and_says_why(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    broken = RunSpec(spec.name, spec.model | {"learning_rate": 1e30}, "/255", 0, spec.data, spec.code)
    with pytest.raises(UserError, match=r"train: fold \d: the loss became .* the same command goes on"):
        spent(toy_data, RunFolder(tmp_path, broken), Goal(folds=2, epochs=400, seed=0, refits=0))


def test_an_interruption_keeps_what_is_finished(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, spec)

    def interrupt() -> None:
        while not folder.has(0):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    started = time.monotonic()
    found = spent(toy_data, folder, Goal(folds=1, epochs=2, seed=0, refits=1000), left=600, latest=700)
    assert found.interrupted
    assert time.monotonic() - started < 60
    assert Fit(None, 2, 0) not in list(folder.units(3).refits)
