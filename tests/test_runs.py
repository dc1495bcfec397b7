"""A run's folder is named after all that decides its numbers, and is continued, not redone."""

import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from digits.config import Params
from digits.console import Console
from digits.fitting import Work, complete_on_gpus, complete_one_by_one, complete_side_by_side
from digits.metrics import accuracy, log_loss
from digits.prepared import Prepared
from digits.runs import RunFolder, RunSpec, run_spec


@pytest.fixture
def spec(toy_params: Params, toy_data: Prepared) -> RunSpec:
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


def test_the_family_decides_the_code_that_counts(toy_params: Params, toy_data: Prepared, spec: RunSpec) -> None:
    cnn = run_spec("cnn", toy_params.train.spec.model_dump(mode="json"), "/255", 0, toy_data)
    assert cnn.code != spec.code


def test_side_by_side_is_the_same_as_one_by_one(toy_data: Prepared, spec: RunSpec, tmp_path: Path) -> None:
    console = Console(plain=True)
    other = replace(spec, name="other", seed=1)
    for name, workers in (("two", 2), ("one", 1)):
        work = complete_side_by_side(toy_data, tmp_path / name, [spec, other], workers, console, "baseline")
        assert work == Work(fits=6)
    assert complete_side_by_side(toy_data, tmp_path / "one", [spec, other], 1, console, "baseline") == Work(fits=0)
    for each in (spec, other):
        two, one = (RunFolder(tmp_path / name, each).result(toy_data) for name in ("two", "one"))
        assert np.array_equal(two.oof, one.oof) and np.array_equal(two.test, one.test)


def test_a_fit_beside_others_has_one_thread(
    toy_data: Prepared, spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    monkeypatch.setattr(
        "digits.fitting.fit_unit", lambda *_: threads.extend(pool["num_threads"] for pool in threadpool_info())
    )
    complete_side_by_side(toy_data, tmp_path, [spec], 1, Console(plain=True), "baseline")
    assert set(threads) == {1}


def test_libraries_that_a_fit_loads_are_held_to_one_thread_too(toy_data: Prepared, tmp_path: Path) -> None:
    """In a new process, where scikit-learn's own thread pools are loaded by the first model that is built."""
    script = f"""
import digits.fitting as fitting
from pathlib import Path
from digits.console import Console
from digits.prepared import load_prepared
from digits.runs import run_spec
from threadpoolctl import threadpool_info
threads = lambda *_: print(sorted((pool["user_api"], pool["num_threads"]) for pool in threadpool_info()))
fitting.fit_unit = threads
data = load_prepared(Path({str(toy_data.folder)!r}))
spec = run_spec("nearest", {{"kind": "knn"}}, "/255", 0, data)
fitting.complete_side_by_side(data, Path({str(tmp_path)!r}), [spec], 1, Console(plain=True), "baseline")
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    shown = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    pools = [ast.literal_eval(line) for line in shown.splitlines() if line.startswith("[")]
    assert len(pools) == 3
    for pool in pools:
        assert {api for api, _ in pool} == {"blas", "openmp"}
        assert {count for _, count in pool} == {1}


def test_a_finished_run_says_how_good_it_is(toy_data: Prepared, spec: RunSpec, tmp_path: Path) -> None:
    assert complete_one_by_one(toy_data, tmp_path, spec, Console(plain=True), "train")
    folder = RunFolder(tmp_path, spec)
    metrics = folder.finish(toy_data)
    result = folder.result(toy_data)
    assert metrics["cv_accuracy"] == accuracy(result.oof, toy_data.labels[toy_data.working_rows]).value
    assert metrics["holdout_accuracy"] == accuracy(result.holdout, toy_data.labels[toy_data.holdout_rows]).value
    assert metrics["log_loss"] == log_loss(result.oof, toy_data.labels[toy_data.working_rows])
    assert metrics["cv_low"] < metrics["cv_accuracy"] <= metrics["cv_high"]
    tests = [np.load(folder.unit(fold) / "probabilities.npz")["test"] for fold in range(3)]
    assert np.allclose(result.test, np.mean(tests, axis=0), atol=1e-6)
    assert {"run.json", "metrics.json", "probabilities.npz", "log.txt", "fold-0", "fold-1", "fold-2"} == {
        path.name for path in folder.path.iterdir()
    }


def test_only_missing_folds_are_fitted(toy_data: Prepared, spec: RunSpec, tmp_path: Path) -> None:
    complete_one_by_one(toy_data, tmp_path, spec, Console(plain=True), "train")
    folder = RunFolder(tmp_path, spec)
    times = {fold: folder.unit(fold).stat().st_mtime_ns for fold in range(3)}
    for file in folder.unit(1).iterdir():
        file.unlink()
    folder.unit(1).rmdir()
    assert folder.missing(3) == [1]
    complete_one_by_one(toy_data, tmp_path, spec, Console(plain=True), "train")
    again = {fold: folder.unit(fold).stat().st_mtime_ns for fold in range(3)}
    assert (again[0], again[2]) == (times[0], times[2])
    assert again[1] != times[1]


def test_one_fit_per_gpu_gives_what_one_after_the_other_gives(
    toy_data: Prepared, spec: RunSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With GPUs that are not there, TensorFlow takes the processor; who got which is told all the same."""
    folders = [RunFolder(tmp_path / name, spec) for name in ("gpus", "alone")]
    seen = []
    console = Console(plain=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
        patch.setattr("digits.console._PlainBar.advance", lambda _, steps, note: seen.append(note))
        assert complete_on_gpus(toy_data, tmp_path / "gpus", spec, 2, console, "train")
        assert not complete_on_gpus(toy_data, tmp_path / "gpus", spec, 2, console, "train")
    assert {note.split(" on ")[0] for note in seen} == {"fold 1", "fold 2", "fold 3"}
    assert {note.split(" on ")[1] for note in seen} == {"GPU 5", "GPU 7"}
    complete_one_by_one(toy_data, tmp_path / "alone", spec, console, "train")
    beside, alone = (folder.result(toy_data).oof for folder in folders)
    assert np.array_equal(beside, alone)
