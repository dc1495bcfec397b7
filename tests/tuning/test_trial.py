"""Trials: the rungs, and the fits of a trial in a subprocess."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from digits.common.executors import Job, Place, Processes, run_job
from digits.common.processes import ProcessDiedError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.evaluation.metrics import Accuracy, accuracy
from digits.models.baselines.mlp import SmallSampleMLP
from digits.tuning.trial import Pace, Task, evaluate, first_step, rungs

pytestmark = pytest.mark.slow

PACE = Pace(0.5, 0.1, 2000.0)


@pytest.mark.parametrize(
    ("longest", "shortest", "reduction", "expected"),
    [
        (150, 4.7, 4, (9.375, 37.5, 150)),
        (200, 4.7, 4, (4.7, 16.41, 57.28, 200)),
        (100, 8, 4, (8, 28.28, 100)),
        (10, 8, 4, (10,)),
        (5, 8, 4, (5,)),
        (4000, 2, 4, (62.5, 250, 1000, 4000)),
        (90, 10, 3, (10, 30, 90)),
    ],
)
def test_each_rung_is_about_a_fraction_of_the_next(
    longest: float, shortest: float, reduction: int, expected: tuple[float, ...]
) -> None:
    assert rungs(longest, shortest, reduction) == pytest.approx(expected, rel=1e-3)


def test_a_pace_tells_seconds_from_images_and_back() -> None:
    assert PACE.seconds(1000) == pytest.approx(1.1)
    assert PACE.images(PACE.seconds(1234)) == 1234
    assert PACE.images(0.0) == 1


def evaluated(model: dict[str, Any], folder: Path, report: Callable[[Any], Any], **changes: Any) -> None:
    """A trial in a subprocess. report: as in `evaluate`."""
    made: dict[str, Any] = {"normalise": "/255", "seed": 3, "fold": 1, "rungs": (0.5, 5.0), "pace": PACE}
    job = Job(evaluate, Task(model, **made | changes), Place(folder), timeout=120, asks=True)
    run_job(Processes([None]), job, report, lambda: False)


@pytest.mark.parametrize("kind", ["small", "train"])
def test_longer_fits_see_more_images_and_each_is_judged_on_the_fold(
    toy_params: Params, toy_data: Dataset, kind: str
) -> None:
    spec = toy_params.train.spec if kind == "train" else toy_params.baseline.models[kind]
    results: list[dict[str, Any]] = []

    def report(result: dict[str, Any]) -> bool:
        results.append(result)
        return True

    evaluated(spec.model_dump(mode="json"), toy_data.folder, report)
    assert [result["rung"] for result in results] == [0, 1]
    assert 0 < results[0]["epochs"] <= results[1]["epochs"], "equal on a machine that is too busy for more"
    images = len(toy_data.valid_rows(1))
    assert all((result["accuracy"] * images) % 1 == pytest.approx(0, abs=1e-6) for result in results)
    assert all(result["seconds"] > 0 and result["log_loss"] > 0 for result in results)


def test_the_first_of_several_fits_is_judged_by_a_part_of_the_fold(
    toy_params: Params, toy_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []

    def counted(probabilities: Any, labels: Any) -> Accuracy:
        judged.append(len(probabilities))
        return accuracy(probabilities, labels)

    monkeypatch.setattr("digits.tuning.trial._JUDGED", 14)
    monkeypatch.setattr("digits.tuning.trial.accuracy", counted)
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    for seconds in ((0.5, 1.0), (1.0,)):
        evaluate(Task(model, "/255", 3, 1, seconds, PACE), Place(toy_data.folder), lambda _: True)
    assert judged == [16, 48, 48], "a fit of the most seconds is judged by the whole fold, also if it is the only one"


def test_an_mlp_learns_in_the_seconds_that_its_predictions_leave(
    toy_params: Params, toy_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[float]()
    fit = SmallSampleMLP.fit

    def timed(self: SmallSampleMLP, X: Any, y: Any, seconds_left: Callable[[], float]) -> SmallSampleMLP:
        left.append(seconds_left())
        return fit(self, X, y, lambda: 0.0)

    monkeypatch.setattr(SmallSampleMLP, "fit", timed)
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    evaluate(Task(model, "/255", 3, 1, (50.0,), PACE), Place(toy_data.folder), lambda _: False)
    assert left == [pytest.approx(50.0 - PACE.predict, abs=5.0)]
    assert left[0] < 50.0 - PACE.predict


def test_few_images_are_prepared_where_that_takes_long(
    toy_params: Params, toy_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned, fit = list[int](), SmallSampleMLP.fit

    def counted(self: SmallSampleMLP, X: Any, y: Any, seconds_left: Callable[[], float]) -> SmallSampleMLP:
        learned.append(len(X))
        return fit(self, X, y, lambda: 0.0)

    monkeypatch.setattr(SmallSampleMLP, "fit", counted)
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    for seconds_each in (1e-6, 0.3):
        monkeypatch.setattr("digits.tuning.trial._preparing", lambda *_, each=seconds_each: each)
        evaluate(Task(model, "/255", 3, 1, (50.0,), PACE), Place(toy_data.folder), lambda _: False)
    assert learned[0] == len(toy_data.train_rows(1))
    assert 40 <= learned[1] <= 50 / 3 / 0.3, "in a third of the seconds that loading has left"


@pytest.mark.parametrize(("valid", "step"), [(54, 1), (2499, 1), (4999, 1), (6048, 2), (10_800, 4)])
def test_a_part_of_a_fold_has_2500_images_or_some_more(valid: int, step: int) -> None:
    assert first_step(valid) == step


def test_it_ends_where_it_is_not_promoted(toy_params: Params, toy_data: Dataset) -> None:
    model = toy_params.baseline.models["small"].model_dump(mode="json")
    results: list[Any] = []
    evaluated(model, toy_data.folder, results.append)  # which answers None
    assert len(results) == 1


def test_a_diverging_network_says_why_it_ended(toy_params: Params, toy_data: Dataset) -> None:
    model = toy_params.train.spec.model_dump(mode="json") | {"learning_rate": 10.0, "layers": "64 64 64"}
    wild = model | {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": False}}
    with pytest.raises(ProcessDiedError, match=r"the loss became (nan|inf) in epoch"):
        evaluated(wild, toy_data.folder, lambda _: True, normalise="none")
