"""From overrides to fits: what is fitted, what is refused, and what ends a fit."""

import threading
from typing import Any

import pytest

from digits.common.executors import Processes
from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.tuning.trial import Pace
from digits.tuning.trial_fits import Evaluator

pytestmark = pytest.mark.slow


def evaluator(params: Params, data: Dataset, **changes: Any) -> Evaluator:
    made: dict[str, Any] = {
        "default": params.train.spec.model_dump(mode="json"),
        "normalise": "/255",
        "rungs": (1.0, 2.0),
        "pace": Pace(0.5, 0.1, 2000.0),
        "seconds_left": lambda: 1e6,
        "stop": threading.Event(),
        "executor": Processes([None]),
    }
    return Evaluator(data, **made | changes)


def test_the_time_of_every_fit_is_counted(toy_params: Params, toy_data: Dataset) -> None:
    small = evaluator(toy_params, toy_data)
    results: list[dict[str, Any]] = []

    def enough(result: dict[str, Any]) -> bool:
        results.append(result)
        return False

    small.evaluate({"layers": "16"}, 3, 1, enough)
    full = small.fit_full({"layers": "16"}, 3, 1)
    assert full["epochs"] >= results[0]["epochs"], "equal on a machine that is too busy for more"
    assert small.seconds == [results[0]["seconds"], full["seconds"]]


def test_a_network_of_more_multiplications_is_expected_to_see_fewer_images(
    toy_params: Params, toy_data: Dataset
) -> None:
    model = evaluator(toy_params, toy_data)._model({"layers": "64C3 64C3 MP2 16"})
    assert model[0]["layers"] == "64C3 64C3 MP2 16"
    assert model[1].images_per_second < 2000 / 10
    assert model[1].start == 0.5


@pytest.mark.parametrize(
    ("overrides", "changes", "kind", "cause"),
    [
        ({"layers": "8C3 MP2 MP2 MP2 MP2 MP2"}, {}, ValueError, "image"),
        ({"learning_rate": -1.0}, {}, ValueError, "learning_rate"),
        ({}, {"seconds_left": lambda: 0.02}, ProcessDiedError, "took longer than 1 s"),
    ],
)
def test_what_is_no_model_and_what_takes_too_long_are_told_apart(
    toy_params: Params, toy_data: Dataset, overrides: dict[str, Any], changes: Any, kind: Any, cause: str
) -> None:
    limited = evaluator(toy_params, toy_data, rungs=(60.0,), **changes)
    with pytest.raises(kind, match=cause):
        limited.evaluate(overrides, 3, 1, lambda _: True)
    assert len(limited.seconds) == (1 if changes else 0)


def test_an_interruption_ends_a_fit_that_would_take_hours(toy_params: Params, toy_data: Dataset) -> None:
    stop = threading.Event()
    endless = evaluator(toy_params, toy_data, rungs=(1.0, 1e5), stop=stop)

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
    both = evaluator(toy_params, toy_data, rungs=(1.0,), stop=stop)

    def report(result: dict[str, Any]) -> bool:
        raise error("the database is away")

    with pytest.raises(error, match="the database is away"):
        both.evaluate({}, 0, 0, report)
    assert stop.is_set()
    stop.clear()
    with pytest.raises(ProcessDiedError), both.ending_all():
        raise ProcessDiedError("no memory")
