"""Trials: the rungs, and the fits of a trial in a subprocess."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.common.processes import ProcessDiedError, run_in_subprocess
from digits.config import Params
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy
from digits.training.crossval import fit
from digits.tuning.trial import Task, evaluate, rungs, with_epochs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("longest", "reduction", "expected"),
    [
        (6, 4, (1, 2, 6)),
        (22, 4, (1, 2, 6, 22)),
        (16, 4, (1, 4, 16)),
        (20, 3, (1, 3, 7, 20)),
        (1, 4, (1,)),
        (2, 4, (1, 2)),
    ],
)
def test_each_length_is_about_a_fraction_of_the_next(longest: int, reduction: int, expected: tuple[int, ...]) -> None:
    assert rungs(longest, reduction) == expected


def test_a_short_fit_is_short_in_every_respect(params: Params) -> None:
    spec = params.train.spec.model_dump(mode="json") | {"epochs": 6, "min_steps": 150}
    assert with_epochs(spec, 2) == spec | {"epochs": 2, "min_steps": 50}
    perceptron = params.baseline.models["mlp-64"].model_dump(mode="json")
    assert with_epochs(perceptron, 1) == perceptron | {"max_iter": 1}


def task(model: dict[str, Any], folder: Path, **changes: Any) -> Task:
    made: dict[str, Any] = {"normalise": "/255", "seed": 3, "fold": 1, "rungs": (1, 3)}
    return Task(folder, model, **made | changes)


@pytest.mark.parametrize("kind", ["small", "train"])
def test_its_figures_are_those_of_the_same_fit_here(toy_params: Params, toy_data: Dataset, kind: str) -> None:
    spec = toy_params.train.spec if kind == "train" else toy_params.baseline.models[kind]
    model = spec.model_dump(mode="json")
    results: list[dict[str, Any]] = []

    def report(result: dict[str, Any]) -> bool:
        results.append(result)
        return True

    run_in_subprocess(evaluate, task(model, toy_data.folder), report, 120)
    assert [result["epochs"] for result in results] == [1, 3]
    rows = toy_data.valid_rows(1)
    here = fit(toy_data, 1, with_epochs(model, 3), "/255", 3).predict_proba(toy_data.images[rows])
    assert results[1]["accuracy"] == accuracy(here, np.asarray(toy_data.labels)[rows]).value
    assert all(result["seconds"] > 0 and result["log_loss"] > 0 for result in results)
    assert len(results[1]["history"]) == (3 if kind == "train" else 0)


def test_it_ends_where_it_is_not_promoted(toy_params: Params, toy_data: Dataset) -> None:
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    results: list[Any] = []
    run_in_subprocess(evaluate, task(model, toy_data.folder), results.append, 120)  # which answers None
    assert len(results) == 1


def test_a_diverging_network_says_why_it_ended(toy_params: Params, toy_data: Dataset) -> None:
    model = toy_params.train.spec.model_dump(mode="json") | {"learning_rate": 10.0, "layers": "64 64 64"}
    wild = model | {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": False}}
    with pytest.raises(ProcessDiedError, match=r"the loss became (nan|inf) in epoch"):
        run_in_subprocess(evaluate, task(wild, toy_data.folder, normalise="none"), lambda _: True, 120)
