"""From overrides to fits: what is fitted, what is refused, and what ends a fit."""

import threading
from typing import Any

import numpy as np
import pytest

from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy
from digits.training.crossval import fit
from digits.tuning.trial import with_epochs
from digits.tuning.trial_fits import Evaluator

pytestmark = pytest.mark.slow


def evaluator(params: Params, data: Dataset, **changes: Any) -> Evaluator:
    made: dict[str, Any] = {
        "default": params.train.spec.model_dump(mode="json"),
        "normalise": "/255",
        "rungs": (1, 2),
        "max_cost": 2.0,
        "timeout": 120.0,
        "seconds_left": lambda: 1e6,
        "default_seconds": lambda: 1e6,
        "stop": threading.Event(),
    }
    return Evaluator(data, **made | changes)


def test_the_overrides_are_what_is_fitted(toy_params: Params, toy_data: Dataset) -> None:
    """Also their normalisation; and the time of every fit is counted."""
    small = evaluator(toy_params, toy_data)
    results: list[dict[str, Any]] = []

    def enough(result: dict[str, Any]) -> bool:
        results.append(result)
        return False

    small.evaluate({"layers": "16"}, 3, 1, enough)
    other = small.fit_full({"layers": "16", "normalise": "standard"}, 3, 1)
    model = small.default | {"layers": "16"}
    rows = toy_data.valid_rows(1)
    for fitted, epochs, normalise in ((results[0], 1, "/255"), (other, 2, "standard")):
        here = fit(toy_data, 1, with_epochs(model, epochs), normalise, 3).predict_proba(toy_data.images[rows])
        assert fitted["accuracy"] == accuracy(here, np.asarray(toy_data.labels)[rows]).value
    assert small.seconds == [results[0]["seconds"], other["seconds"]]


@pytest.mark.parametrize(
    ("overrides", "changes", "kind", "cause"),
    [
        ({"layers": "64C5 64C5"}, {}, ValueError, "too large: .* times the multiplications of the default"),
        ({"layers": "8C3 MP2 MP2 MP2 MP2 MP2"}, {}, ValueError, "image"),
        ({"learning_rate": -1.0}, {}, ValueError, "learning_rate"),
        ({}, {"default_seconds": lambda: 0.01}, ValueError, "too slow: a first fit of over 0 s, 2 times the default's"),
        ({}, {"timeout": 0.02}, ProcessDiedError, "took longer than 0 s"),
    ],
)
def test_what_is_no_model_too_large_too_slow_or_too_long_is_told_apart(
    toy_params: Params, toy_data: Dataset, overrides: dict[str, Any], changes: Any, kind: Any, cause: str
) -> None:
    limited = evaluator(toy_params, toy_data, **changes)
    with pytest.raises(kind, match=cause):
        limited.evaluate(overrides, 3, 1, lambda _: True)
    assert len(limited.seconds) == (1 if changes else 0)


def test_an_interruption_ends_a_fit_that_would_take_hours(toy_params: Params, toy_data: Dataset) -> None:
    stop = threading.Event()
    endless = evaluator(toy_params, toy_data, rungs=(1, 1_000_000), timeout=1e6, stop=stop)

    def go_on(result: dict[str, Any]) -> bool:
        stop.set()
        return True

    with pytest.raises(ProcessStoppedError):
        endless.evaluate({}, 3, 1, go_on)


@pytest.mark.parametrize("error", [OSError, ValueError, ConnectionResetError])
def test_what_fails_unexpectedly_ends_the_fits_beside_it(
    toy_params: Params, toy_data: Dataset, error: type[Exception]
) -> None:
    """As where the database is away. What just ends a fit does not."""
    stop = threading.Event()
    both = evaluator(toy_params, toy_data, rungs=(1,), timeout=1e6, stop=stop)

    def report(result: dict[str, Any]) -> bool:
        raise error("the database is away")

    with pytest.raises(error, match="the database is away"):
        both.evaluate({}, 0, 0, report)
    assert stop.is_set()
    stop.clear()
    with pytest.raises(ProcessDiedError), both.ending_all():
        raise ProcessDiedError("no memory")
    assert not stop.is_set()
