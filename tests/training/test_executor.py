"""Fits in processes of their own, until the time is used up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Executor, Job, Processes, Shared, Slot
from digits.config import Params
from digits.data.dataset import Dataset
from digits.data.sample import sampled
from digits.training.budget import Part
from digits.training.crossval import preload
from digits.training.executor import Executed, execute
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunFolder, RunSpec, run_spec
from digits.training.schedule import Fit, Goal, Sizes, Timing, fit_seconds

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
    executor: Executor | None = None,
    timing: Timing = TIMING,
) -> Executed:
    part = Part("some", folder.spec, goal, timing, left)
    used = executor or Processes(places)
    return execute(data, part, SIZES, folder.path.parent, left, latest, used, Console(plain=True))


class Given:
    """Slots that run jobs in a given way, on machines of given speeds."""

    def __init__(self, runs: Sequence[Callable[..., float]], slower: Sequence[float] = ()):
        self.threads = len(runs)
        speeds = slower or [1.0] * len(runs)
        self._free: Any = Shared(
            SimpleNamespace(machine=f"host {number}", slower=each, run=run)
            for number, (run, each) in enumerate(zip(runs, speeds, strict=True))
        )

    @contextmanager
    def slot(self, stop: Callable[[], bool]) -> Iterator[Slot]:
        slot = self._free.take(stop)
        yield slot
        self._free.put(slot)


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


def test_fits_on_a_sample_learn_what_their_seeds_draw(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    sample = sampled(toy_data, 2, seed=0)
    spec = replace(spec, data=sample.hash)
    folder, alone = (RunFolder(tmp_path / name, spec) for name in ("executed", "alone"))
    assert spent(toy_data, folder, Goal(folds=1, epochs=2, seed=0, refits=1)) == Executed(2, interrupted=False)
    [refit] = folder.units(3).refits
    fit_fold_unit(sample, tmp_path / "alone", spec, 0)
    fit_refit_unit(sampled(toy_data, 2, seed=refit.seed), tmp_path / "alone", spec, refit)
    found, expected = (each.units(3).result(sample, [0]) for each in (folder, alone))
    for part in ("rows", "oof", "holdout", "test"):
        assert np.array_equal(getattr(found, part), getattr(expected, part)), part
    assert (len(found.rows), len(found.test)) == (len(sample.valid_rows(0)), 2)


def test_a_fit_has_the_same_bits_where_processes_are_not_forked(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    goal, results = Goal(folds=1, epochs=2, seed=0, refits=0), list[Any]()
    for safe in (True, False):
        monkeypatch.setattr("digits.common.processes._FORK_IS_SAFE", safe)
        folder = RunFolder(tmp_path / str(safe), spec)
        assert spent(toy_data, folder, goal) == Executed(1, interrupted=False)
        results.append(folder.units(3).result(toy_data, [0]).oof)
    assert np.array_equal(results[0], results[1], equal_nan=True)


def test_what_would_end_too_late_is_given_up_but_for_the_first_fold(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path, spec)
    goal = Goal(folds=1, epochs=2, seed=0, refits=5)
    # the timing promises that fits end at once, and they do not
    found = spent(toy_data, folder, goal, left=0.5, latest=0.6, timing=Timing(0.01, 1e-6, 1e-6))
    assert found == Executed(1, interrupted=False)
    assert (list(folder.units(3).folds), list(folder.units(3).refits)) == ([0], [])
    assert "refit, seed 1: stopped because it would have ended too late" in capsys.readouterr().out


def test_a_refit_is_shortened_where_it_would_end_too_late(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its predictions are said to take as long as 10^9 of its epochs, so it has the third that it has in any case."""
    folder = RunFolder(tmp_path, spec)
    slow_to_predict = Timing(start=0.0, per_image=1e-9, per_prediction=1.0)
    goal = Goal(folds=0, epochs=30, seed=0, refits=1)
    assert spent(toy_data, folder, goal, places=[None], timing=slow_to_predict).fits == 1
    assert [(fit.epochs, fit.planned) for fit in folder.units(0).refits] == [(16, 48)]
    shown = " ".join(capsys.readouterr().out.split())
    assert "refit, seed 1: shortened to 16 of 48 epochs to end in time; other programs slow this machine down" in shown


@pytest.mark.parametrize(
    ("goal", "stopped"),
    [
        (Goal(folds=1, epochs=14, seed=0, refits=0), 0),
        (Goal(folds=1, epochs=14, seed=0, refits=0, required=False), 5),
        (Goal(folds=0, epochs=14, seed=0, refits=1), 5),
    ],
)
def test_what_has_not_made_a_third_of_its_way_is_stopped_at_the_deadline(
    goal: Goal, stopped: int, toy_data: Dataset, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's own; but for a first fold without which there would be no result."""
    now, asked = 0.0, list[bool]()

    def run(job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
        nonlocal now
        assert not stop()
        now = 700.1
        for epoch in range(1, 15):
            asked.append(stop())
            on_message((epoch, 14, "a note"))
        return 700.1

    monkeypatch.setattr("digits.training.executor.monotonic", lambda: now)
    spent(toy_data, RunFolder(tmp_path, spec), goal, left=3.6, latest=700, executor=Given([run]))
    assert asked == [True] * stopped + [False] * (14 - stopped)


def test_what_fails_unexpectedly_beside_another_fit_ends_it_and_comes_out(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path
) -> None:
    """The other fit would take hours."""
    started = threading.Barrier(2)

    def run(job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
        started.wait()
        if job.argument.fit.fold == 1:
            raise OSError("too many open files")
        with Processes([None]).slot(stop) as slot:
            return slot.run(job, on_message, stop)

    goal = Goal(folds=2, epochs=10**6, seed=0, refits=0)
    with pytest.raises(OSError, match="too many open files"):
        spent(toy_data, RunFolder(tmp_path, spec), goal, left=1e9, latest=1e9, executor=Given([run, run]))


def test_a_machine_that_has_become_slow_gets_shorter_refits_and_the_others_do_not(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path
) -> None:
    """The first fit of one of two machines takes four times as long as the plan expects of this machine."""
    begun: dict[str, list[Fit]] = {"host 0": [], "host 1": []}
    timing, both = Timing(start=0.0, per_image=0.01, per_prediction=0.0), threading.Barrier(2)

    def fits(host: str, factor: float) -> Callable[..., float]:
        def run(job: Job, on_message: Callable[[Any], Any], stop: Callable[[], bool]) -> float:
            fit = job.argument.fit
            begun[host].append(fit)
            on_message((fit.epochs, fit.epochs, "a note"))
            if len(begun[host]) == 1:
                both.wait()
            return factor * fit_seconds(fit, timing, SIZES)

        return run

    executor = Given([fits("host 0", 1.0), fits("host 1", 4.0 * 2.0)], [1.0, 2.0])
    goal = Goal(folds=2, epochs=10, seed=0, refits=6)
    spent(toy_data, RunFolder(tmp_path, spec), goal, left=100, latest=100, timing=timing, executor=executor)
    assert {fit.fold for each in begun.values() for fit in each[:1]} == {0, 1}
    assert {fit.epochs for fit in begun["host 0"][1:]} <= {13}
    assert {fit.epochs for fit in begun["host 1"][1:]} <= {6}, "100 seconds have time for no more at 14.4 each"


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
    command = [sys.executable, "-c", _PRELOADED, *preload("cnn"), "digits.training.executor", "digits.tuning.trial"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "None\n"


def test_a_fit_that_fails_ends_the_others_and_says_why(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    broken = RunSpec(spec.name, spec.model | {"learning_rate": 1e30}, "/255", 0, spec.data, spec.code)
    with pytest.raises(UserError, match=r"train: fold \d: the loss became .* the same command continues"):
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
