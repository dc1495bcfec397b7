"""What the page reads: runs in an order that does not depend on which folds they had time for."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.evaluation.scoring import LOG_LOSS
from digits.report.gather import Run, _last_lines, _ranked, _titled, near_best
from digits.report.outlook import expected_error
from digits.training.runs import RunSpec
from toys import ROOT, TOY

LABELS = np.zeros(30, np.int64)


def run(name: str, folds: tuple[int, ...], wrong: int) -> Run:
    """A run that predicts folds of ten images each, with so many wrong in its first fold and half of the others."""
    rows = np.concatenate([np.arange(10 * fold, 10 * fold + 10) for fold in folds])
    classes = np.zeros(len(rows), np.int64)
    classes[:wrong] = 1
    classes[10::2] = 1  # the other folds are difficult
    oof = np.eye(2, dtype=np.float32)[classes]
    metrics = {"folds": len(folds), "cv_accuracy": float((classes == 0).mean())}
    spec = RunSpec(name=name, model={"kind": "knn"}, normalise="/255", seed=0, data="toy", code="toy")
    return Run(spec, name, metrics, (), rows, oof, 0, 1.0)


@pytest.mark.parametrize("order", [1, -1])
def test_runs_are_compared_on_the_images_that_all_of_them_predict(order: int) -> None:
    """A run with time for an easy fold alone is not better for it, nor worse than one with all folds."""
    runs = [run("one easy fold", (0,), 2), run("best", (0, 1, 2), 1), run("worst", (0, 1), 3)][::order]
    assert [each.name for each in _ranked(runs, LABELS)] == ["best", "one easy fold", "worst"]
    runs = [run("one fold", (0,), 1), run("all folds", (0, 1, 2), 2)][::order]
    assert [each.name for each in _ranked(runs, LABELS)] == ["one fold", "all folds"]


def test_without_images_in_common_most_folds_come_first() -> None:
    runs = [run("fold 0", (0,), 0), run("others", (1, 2), 5)]
    assert [each.name for each in _ranked(runs, LABELS)] == ["others", "fold 0"]
    assert _ranked([], LABELS) == []


def test_runs_are_ordered_by_the_competitions_metric() -> None:
    sure, unsure = run("sure", (0, 1), 1), run("unsure", (0, 1), 2)
    unsure = replace(unsure, oof=0.8 * unsure.oof + 0.1)
    assert [each.name for each in _ranked([unsure, sure], LABELS)] == ["sure", "unsure"]
    ranked = _ranked([sure, unsure], LABELS, LOG_LOSS)
    assert [each.name for each in ranked] == ["unsure", "sure"]
    assert near_best(ranked, LABELS, LOG_LOSS) == {"unsure"}


def test_the_gain_of_more_minutes_is_told_where_nothing_must_be_measured(
    toy_data: Dataset, probed: Path, tmp_path: Path
) -> None:
    accuracies = "train.measured_accuracy={toy: {default: {1: 0.95, 2: 0.97}}}"
    params = load_params(ROOT / "params.yaml", (*TOY, accuracies))
    assert expected_error(params, toy_data, Paths(tmp_path), 5) is None  # the machine is not known
    shutil.copytree(probed, tmp_path / "runs" / "machines")
    error = expected_error(params, toy_data, Paths(tmp_path), 5)
    assert error is not None
    assert 0 < error < 0.5
    for timing in (tmp_path / "runs" / "machines").glob("timing-*"):
        timing.unlink()
    assert expected_error(params, toy_data, Paths(tmp_path), 5) is None  # its speed is not known
    assert not [*(tmp_path / "runs" / "machines").glob("timing-*")]


def test_a_run_is_called_by_its_network_and_no_two_share_a_name(
    toy_params: Params, toy_data: Dataset, tmp_path: Path
) -> None:
    def named(model: dict[str, Any], folder: str) -> Run:
        made = run("cnn", (0, 1), 1)
        metrics = made.metrics | {"cv_low": 0.1, "cv_high": 0.9}
        return replace(made, spec=replace(made.spec, model=model), metrics=metrics, folder=folder)

    network = toy_params.network("default").model_dump(mode="json") | {"epochs": 77}
    former = network | {"l2": 0.5}  # the params do not have it any more
    found = (named(network, "cnn-0123456789"), named(network, "cnn-abcdef"), named(former, "cnn-77"))
    names = [each.name for each in _titled(found, toy_params, toy_data, Paths(tmp_path))]
    assert names == ["default · 2 folds · 0.7000 · 0123", "default · 2 folds · 0.7000 · abcd", "cnn · 2 folds · 0.7000"]


def test_of_a_log_the_last_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert _last_lines(path) == ()
    path.write_text("one\ntwo\n")
    assert _last_lines(path) == ("one", "two")
    path.write_bytes(b"".join(b"%d \xff %s\n" % (number, b"x" * 500) for number in range(100)))
    lines = _last_lines(path)
    assert [line.split()[0] for line in lines] == [str(number) for number in range(80, 100)]
    assert {len(line) for line in lines} == {200}
