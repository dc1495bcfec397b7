"""What the page reads: runs in an order that does not depend on which folds they had time for."""

from dataclasses import replace

import numpy as np
import pytest

from digits.evaluation.scoring import LOG_LOSS
from digits.report.gather import Run, _ranked, near_best
from digits.training.runs import RunSpec

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
