"""A run's folder is named after all that decides its numbers, and is continued, not redone."""

import ast
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from digits.common.console import Console
from digits.common.executors import Place, Processes, Slot
from digits.common.sealed import write_json
from digits.config import Params
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.training.fitting import (
    end_in_time,
    fit_alone,
    fit_fold_unit,
    fit_refit_unit,
    log_epochs,
)
from digits.training.parallel import Work, fit_in_parallel
from digits.training.runs import RunFolder, RunSpec, of_other_versions, run_spec, unit_metrics
from digits.training.schedule import Fit

pytestmark = pytest.mark.slow


@pytest.fixture
def spec(toy_params: Params, toy_data: Dataset) -> RunSpec:
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    return run_spec("small", model, "/255", 0, toy_data)


def test_whatever_changes_the_numbers_changes_the_folder(spec: RunSpec) -> None:
    changes = (
        {"seed": 1},
        {"normalise": "none"},
        {"data": "other"},
        {"code": "other"},
        {"model": spec.model | {"alpha": 1.0}},
    )
    names = {replace(spec, **change).folder_name for change in changes}
    assert len(names | {spec.folder_name}) == 6


def test_the_family_decides_the_code_that_counts(toy_params: Params, toy_data: Dataset, spec: RunSpec) -> None:
    cnn = run_spec("cnn", toy_params.train.spec.model_dump(mode="json"), "/255", 0, toy_data)
    assert cnn.code != spec.code


def test_fits_that_differ_in_their_code_alone_are_pointed_at(spec: RunSpec, tmp_path: Path) -> None:
    former, own = (RunFolder(tmp_path, each) for each in (replace(spec, code="other"), spec))
    former.open()
    assert of_other_versions(tmp_path, [spec]) == "", "nothing is finished there"
    write_json(former.fold(0) / "metrics.json", {})
    said = of_other_versions(tmp_path, [replace(spec, seed=1), replace(spec, name="renamed")])
    assert f"runs/{former.path.name} has the same fits by other versions of digits or of its libraries" in said
    for change in ({"seed": 1}, {"data": "other"}, {"model": spec.model | {"alpha": 1.0}}, {"normalise": "none"}):
        assert of_other_versions(tmp_path, [replace(spec, **change)]) == ""
    own.open()
    assert of_other_versions(tmp_path, [spec]) == said, "it begins"
    write_json(own.fold(1) / "metrics.json", {})
    assert of_other_versions(tmp_path, [spec]) == "", "it goes on with fits of its own"


def test_side_by_side_is_the_same_as_one_by_one(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    console = Console(plain=True)
    other = replace(spec, name="other", seed=1)
    two, one = Processes([None, None]), Processes([None])
    for name, executor, fits in (("two", two, 6), ("one", one, 6), ("one", one, 0)):
        work = fit_in_parallel(toy_data, tmp_path / name, [spec, other], executor, console, "baseline")
        assert work == Work(fits)
    for each in (spec, other):
        found, same = (RunFolder(tmp_path / name, each).units(3).result(toy_data, range(3)) for name in ("two", "one"))
        assert np.array_equal(found.oof, same.oof)
        assert np.array_equal(found.test, same.test)


@pytest.mark.parametrize(("most", "expected"), [(0, 4), (2, 2), (9, 4)])
def test_no_more_fits_run_at_a_time_than_asked_for(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, most: int, expected: int
) -> None:
    """On an executor of four slots, as a cluster has them: each fit waits until so many run together."""
    together, callers = threading.Barrier(expected), set[int]()

    class Slots(Processes):
        @contextmanager
        def slot(self, stop: Callable[[], bool]) -> Iterator[Slot]:
            with super().slot(stop):
                yield Slot(self.fit)

        def fit(self, *_: Any) -> float:
            callers.add(threading.get_ident())
            together.wait(60)
            return 0.0

    specs = [replace(spec, seed=seed) for seed in range(4)]  # twelve fits
    executor, console = Slots([None] * 4), Console(plain=True)
    assert fit_in_parallel(toy_data, tmp_path, specs, executor, console, "baseline", most) == Work(12)
    assert len(callers) == expected


def test_a_fit_beside_others_has_one_thread(
    toy_data: Dataset, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr(
        "digits.training.fitting.fit_fold_unit",
        lambda *_: threads.extend(pool["num_threads"] for pool in threadpool_info()),
    )
    fit_alone((spec, 0), Place(toy_data.folder, tmp_path), print)
    assert set(threads) == {1}


def test_libraries_that_a_fit_loads_are_held_to_one_thread_too(toy_data: Dataset, tmp_path: Path) -> None:
    """In a new process, where scikit-learn's own thread pools are loaded by the first model that is built."""
    script = f"""
import digits.training.fitting as fitting
from pathlib import Path
from digits.common.executors import Place
from digits.data.dataset import load_dataset
from digits.training.runs import run_spec
from threadpoolctl import threadpool_info
threads = lambda *_: print(sorted((pool["user_api"], pool["num_threads"]) for pool in threadpool_info()))
fitting.fit_fold_unit = threads
data = load_dataset(Path({str(toy_data.folder)!r}))
spec = run_spec("nearest", {{"kind": "knn"}}, "/255", 0, data)
fitting.fit_alone((spec, 0), Place(data.folder, Path({str(tmp_path)!r})), print)
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    shown = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    pools = [ast.literal_eval(line) for line in shown.splitlines() if line.startswith("[")]
    [pool] = pools
    assert {api for api, _ in pool} == {"blas", "openmp"}
    assert {count for _, count in pool} == {1}


def test_a_finished_run_says_how_good_it_is(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    for fold in range(3):
        fit_fold_unit(toy_data, tmp_path, spec, fold)
    folder = RunFolder(tmp_path, spec)
    metrics = folder.units(3).metrics(toy_data)
    result = folder.units(3).result(toy_data, range(3))
    held = accuracy(result.holdout.mean(axis=0), toy_data.labels[toy_data.holdout_rows])
    assert metrics["cv_accuracy"] == accuracy(result.oof, toy_data.labels[toy_data.working_rows]).value
    assert metrics["holdout_accuracy"] == held.value
    assert metrics["log_loss"] == log_loss(result.oof, toy_data.labels[toy_data.working_rows])
    assert metrics["cv_low"] < metrics["cv_accuracy"] <= metrics["cv_high"]
    tests = [np.load(folder.fold(fold) / "probabilities.npz")["test"] for fold in range(3)]
    assert np.array_equal(result.test, tests)
    assert {"run.json", "metrics.json", "log.txt", "fold-0", "fold-1", "fold-2"} == {
        path.name for path in folder.path.iterdir()
    }


def test_metrics_are_of_the_folds_that_are_fitted(toy_data: Dataset, spec: RunSpec, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, spec)
    fit_fold_unit(toy_data, tmp_path, spec, 1)
    assert list(folder.units(3).folds) == [1]
    one = folder.units(3).metrics(toy_data)
    assert (one["folds"], one["cv_sd"]) == (1, 0)
    assert one["cv_accuracy"] == unit_metrics(folder.fold(1))["accuracy"]
    fit_fold_unit(toy_data, tmp_path, spec, 0)
    both = folder.units(3).metrics(toy_data)
    assert both["folds"] == 2
    assert both["fit_seconds"] > one["fit_seconds"]


def test_a_fit_on_all_images_neither_stops_early_nor_needs_what_it_cannot_look_at(
    toy_data: Dataset, toy_params: Params, tmp_path: Path
) -> None:
    plateau = {"kind": "plateau", "factor": 0.5, "patience": 0}
    also = {
        "min_steps": 1000,
        "early_stopping_patience": 0,
        "restore_best_weights": True,
        "schedule": plateau,
        "learning_rate": 1e-12,
    }
    spec = run_spec("cnn", toy_params.train.spec.model_dump(mode="json") | also, "/255", 0, toy_data)
    folder, fit = RunFolder(tmp_path, spec), Fit(None, 4, 1)
    fit_refit_unit(toy_data, tmp_path, spec, fit)
    rates = [json.loads(line)["learning_rate"] for line in (folder.refit(fit) / "history.jsonl").open()]
    assert len(rates) == 4, "as planned, and as the folder says: the plan has seen to min_steps"
    assert rates[-1] < rates[0], "it goes by the loss in training"


def test_a_refit_on_a_machine_that_becomes_slow_ends_in_time(
    toy_data: Dataset, toy_params: Params, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By a clock of the test's own: epochs take 10 s, and 30 s from the fifth on; predictions take half an epoch."""
    model = toy_params.train.spec.model_dump(mode="json") | {"schedule": {"kind": "one-cycle", "warmup": 0.25}}
    spec, fit = run_spec("cnn", model, "/255", 0, toy_data), Fit(None, 14, 43)
    ends = iter([20, 30, 40, 50, *range(80, 1000, 30)])  # of epochs; the first one includes the tracing
    told: list[tuple[int, int, str]] = []
    on_epoch = log_epochs(lambda *message: told.append(message))
    with caplog.at_level("INFO", "digits"):
        fit_refit_unit(toy_data, tmp_path, spec, fit, end_in_time(fit, 160, 0.5, on_epoch, lambda: next(ends)))
    folder = RunFolder(tmp_path, spec)
    [made] = folder.units(3).refits
    assert made == Fit(None, 7, 43, planned=14)
    assert folder.refit(made).name == "refit-43-7-of-14"
    assert folder.units(3).paths == [folder.refit(made)]
    assert next(ends) == 170, "the seventh ended at 140, so that the predictions end at 155"
    metrics = unit_metrics(folder.refit(made))
    assert (metrics["epochs"], metrics["planned_epochs"]) == (7, 14)
    rates = [json.loads(line)["learning_rate"] for line in (folder.refit(made) / "history.jsonl").open()]
    assert len(rates) == 7
    assert rates[-1] < 1e-6 * max(rates)
    assert [epoch for epoch, *_ in told] == [*range(1, 8)]
    assert [told[4][:2], told[5][:2]] == [(5, 14), (6, 7)]
    assert told[5][2].startswith("accuracy 0.")
    log = (folder.path / "log.txt").read_text()
    assert "shortened to 7 of 14 epochs; the last one took 30.0 s" in log
    whole = Fit(None, 2, 44)
    fit_refit_unit(toy_data, tmp_path, spec, whole)
    assert folder.units(3).refits == (made, whole)
    assert folder.refit(whole).name == "refit-44-2"


def test_a_fit_on_all_images_predicts_the_test_images_alone(
    toy_data: Dataset, toy_params: Params, tmp_path: Path
) -> None:
    model = toy_params.train.spec.model_dump(mode="json")
    spec = run_spec("cnn", model, "/255", 0, toy_data)
    folder = RunFolder(tmp_path, spec)
    fit_fold_unit(toy_data, tmp_path, spec, 0)
    alone = folder.units(3).result(toy_data, [0])
    fits = [Fit(None, epochs, seed) for seed, epochs in ((1, 1), (2, 3))]
    for fit in fits:
        fit_refit_unit(toy_data, tmp_path, spec, fit)
    assert list(folder.units(3).refits) == fits
    result = folder.units(3).result(toy_data, [0])
    assert (result.test.shape, result.holdout.shape) == ((3, 30, 3), (1, 18, 3))
    assert len({model.tobytes() for model in result.test}) == 3
    assert np.array_equal(folder.units(3).result(toy_data, [0]).oof, alone.oof)
    fit_fold_unit(toy_data, tmp_path, spec, 2)
    more = folder.units(3).result(toy_data, [0])
    assert np.array_equal(more.oof, alone.oof)
    assert len(more.holdout) == 1
    assert len(more.test) == 4, "a fold that others do not have is worth as much for the test images"
    metrics = unit_metrics(folder.refit(fits[0]))
    assert "accuracy" not in metrics
    assert folder.units(3).seconds > 0
    assert len((folder.refit(fits[1]) / "history.jsonl").read_text().splitlines()) == 3
