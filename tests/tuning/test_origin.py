"""What a search starts from: the network of the plan, the other networks, and rungs that follow from the minutes."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from digits.common.console import Console
from digits.config import Params, load_params
from digits.data.dataset import Dataset
from digits.models.points import to_params
from digits.training.device import Device
from digits.training.schedule import Sizes, Timing
from digits.tuning.origin import Machine, Origin, find_origin, mlp_pace, search_plan, workers_of
from digits.tuning.trial import Pace
from toys import ROOT

CPU = Device("CPU", 0, "mixed_bfloat16", 256, 1, 1.9, 8)
PACE = Pace(1.5, 0.8, 2800.0)


def changed(params: Params, **tune: object) -> Params:
    return params.model_copy(update={"tune": params.tune.model_copy(update=tune)})


def machine(device: Device = CPU, planned: tuple[str, int] | None = None, images: int = 0, slots: int = 0) -> Machine:
    """On which the plan has a network with so many epochs of so many images; None: nobody may ask.

    Each network is fitted at PACE. slots: of a cluster.
    """

    def plan() -> Any:
        assert planned
        part = SimpleNamespace(name=planned[0], goal=SimpleNamespace(epochs=planned[1]))
        return SimpleNamespace(parts=[part], sizes=Sizes(images, 0, 0))

    def no_device() -> Device:
        return device if planned else pytest.fail("the device was measured")

    def timing(data: Dataset, *_: object) -> Timing:
        return Timing(PACE.start, 1 / PACE.images_per_second, PACE.predict / len(data.valid_rows(0)))

    made: Any = plan
    executor: Any = pytest.fail
    return Machine(no_device, made, Path(), Console(plain=True), executor, timing, slots)


def test_the_origin_is_the_network_of_the_plan_and_stays_it(params: Params, toy_data: Dataset) -> None:
    """Also where another machine, or a longer budget, has another plan."""
    study, images = optuna.create_study(), len(toy_data.train_rows(0))
    small = load_params(ROOT / "params.yaml", ["competition.image_shape=[28,28]", "tune.budget=1000"])
    origin = find_origin(study, small, toy_data, machine(planned=("small", 9), images=images), 2)
    assert (origin.name, origin.spec) == ("small", params.network("small"))
    assert origin.epochs * images == pytest.approx(max(9 * images, 2 * 2.3 * PACE.images_per_second), rel=0.01)
    assert find_origin(study, changed(small, budget=1.0), toy_data, machine(planned=("medium", 30)), 7) == origin


@pytest.mark.parametrize(("minutes", "images"), [(15, 43_200), (30, 43_200), (120, 43_200), (120, 5_400)])
def test_a_fit_at_the_highest_rung_is_as_long_as_the_search_has_time_for(
    params: Params, minutes: int, images: int
) -> None:
    """At most as long as that of the plan, whose fits may learn from fewer images."""
    data: Any = SimpleNamespace(train_rows=lambda _: range(43_200), valid_rows=lambda _: range(10_800), hash="clothes")
    study, budgeted = optuna.create_study(), changed(params, budget=float(minutes))
    origin = find_origin(study, budgeted, data, machine(planned=("medium", 18), images=images), 2)
    seconds = PACE.seconds(origin.epochs * 43_200)
    assert seconds == pytest.approx(min(PACE.seconds(18 * images), minutes * 60 * 2 / 30), rel=1e-3)
    assert origin.rungs[-1] == pytest.approx(seconds)
    assert 3 * (PACE.start + PACE.predict / 4) <= origin.rungs[0] < seconds / 2, "one in four images is predicted"


@pytest.mark.parametrize(("minutes", "workers", "seconds"), [(30, 2, 3.0), (3, 2, 3.0), (1, 2, 1.2), (0.5, 1, 0.3)])
def test_a_brief_search_has_short_fits(
    toy_params: Params, toy_data: Dataset, minutes: float, workers: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a minute there is no time for trials that take 3 s each."""
    monkeypatch.setattr("digits.tuning.origin.mlp_pace", lambda *_: Pace(0.01, 0.01, 50_000.0))
    params = changed(toy_params, model="small", space={}, budget=minutes)
    origin = find_origin(optuna.create_study(), params, toy_data, machine(), workers)
    assert origin.rungs == pytest.approx((seconds,), rel=1e-3)


def test_another_speed_changes_the_seconds_of_the_rungs_and_not_their_number(
    toy_params: Params, toy_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, or while other programs run: else trials of one study would not be comparable."""
    long = toy_params.baseline.models["small"].model_copy(update={"max_iter": 100_000})
    baseline = toy_params.baseline.model_copy(update={"models": {"small": long}})
    params = changed(toy_params, model="small", space={}, budget=600.0).model_copy(update={"baseline": baseline})
    study, found = optuna.create_study(), list[Origin]()
    for slower in (1, 87):
        monkeypatch.setattr("digits.tuning.origin.mlp_pace", lambda *_, each=slower: Pace(0.0, 0.0, 50_000.0 / each))
        found.append(find_origin(study, params, toy_data, machine(), 2))
    assert found[0].epochs == found[1].epochs == pytest.approx(100_000)
    assert len(found[0].rungs) == 4
    assert found[1].rungs == pytest.approx([87 * seconds for seconds in found[0].rungs])


def test_a_search_for_a_baseline_asks_for_no_device(toy_params: Params, toy_data: Dataset) -> None:
    """Which would load TensorFlow."""
    params = changed(toy_params, model="small", space={}, workers=2)
    origin = find_origin(optuna.create_study(), params, toy_data, machine(), workers_of(params, machine()))
    assert (origin.name, origin.spec) == ("small", params.baseline.models["small"])
    plan = search_plan(origin, lambda spec: spec, params, toy_data)
    assert [*plan.known] == ["small"]
    assert plan.known["small"].values == {}, "the space has no layer of 16 units"


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"), [(2, 0, 2), (4, 0, 4), (0, 0, 8), (0, 1, 1), (3, 1, 3), (0, 2, 1)]
)
def test_trials_in_parallel_share_the_cores_and_one_has_a_gpu(
    params: Params, workers: int, gpus: int, expected: int
) -> None:
    device = Device("GPU", gpus, "float32", 128, 8 // gpus, 1.0, gpus) if gpus else CPU
    assert workers_of(changed(params, workers=workers), machine(device, ("small", 1))) == expected


@pytest.mark.parametrize(("workers", "model", "expected"), [(0, "train", 12), (3, "train", 3), (0, "mlp-64", 12)])
def test_trials_in_parallel_are_as_many_as_a_cluster_runs(
    params: Params, workers: int, model: str, expected: int
) -> None:
    """Without a look at this computer's device."""
    assert workers_of(changed(params, workers=workers, model=model), machine(slots=12)) == expected


def test_all_networks_are_tried_first_and_those_in_the_space_are_points_of_it(params: Params) -> None:
    data: Any = SimpleNamespace(
        train_rows=lambda _: range(30_000),
        valid_rows=lambda _: range(7_500),
        image_shape=(28, 28),
        classes=10,
        channels=1,
    )
    origin = Origin("medium", params.network("medium"), 10.0, PACE, (9.0, 36.0))
    default = CPU.resolve(origin.spec).model_dump(mode="json")
    plan = search_plan(origin, CPU.resolve, params, data)
    assert [*plan.known] == ["medium", "default", "tiny", "narrow", "small", "deep", "shallow"]
    assert plan.known["medium"].overrides == {}
    assert plan.known["tiny"].overrides.keys() == {"batch_size", "augment"}
    assert plan.known["default"].overrides["batch_size"] == 256, "`auto` is what suits this machine"
    # both have more than three times the multiplications of the origin
    assert [name for name, known in plan.known.items() if not known.values] == ["default", "deep"]
    assert to_params("cnn", params.tune.space | plan.known["small"].values, plan.limits)["layers"] == default["layers"]
    assert plan.rungs == (9.0, 36.0)


def test_networks_that_the_images_are_too_small_for_are_not_tried() -> None:
    params = load_params(ROOT / "params.yaml", ["competition.image_shape=[12,12]"])
    data: Any = SimpleNamespace(
        train_rows=lambda _: range(1000), valid_rows=lambda _: range(250), image_shape=(12, 12), classes=10, channels=1
    )
    origin = Origin("default", params.train.spec, 3.0, PACE, (9.0,))
    assert [*search_plan(origin, CPU.resolve, params, data).known] == ["default", "shallow"]


@pytest.mark.parametrize(("each", "size"), [(0.0001, 8000), (0.002, 8000), (0.002, 2500), (0.002, 120)])
def test_the_pace_of_an_mlp_is_that_of_its_images_without_libraries_start_and_preparation(
    each: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that shows what a fit costs: once the libraries, then a start, and each image as often as it is seen.

    Each further fit takes 0.01 s more, as on a busy machine: with few images that must not decide.
    """
    clock, libraries, fits = [0.0], iter([5.0]), count()

    class Fitted:
        def __getitem__(self, _: Any) -> "Fitted":
            return self

        def transform(self, images: Any) -> Any:
            clock[0] += 9.0
            return images

        def predict_proba(self, images: Any) -> None:
            clock[0] += 0.001 * len(images)

    def fit(_: Any, rows: Any, __: Any, model: dict[str, Any], *___: Any) -> Fitted:
        assert model["n_iter_no_change"] >= model["max_iter"], "all epochs"
        clock[0] += next(libraries, 0.0) + 0.2 + each * len(rows) * model["max_iter"] + 0.01 * next(fits)
        return Fitted()

    monkeypatch.setattr("digits.tuning.origin.fit_on", fit)
    monkeypatch.setattr("digits.tuning.origin.process_time", lambda: clock[0])
    rows = np.arange(size)
    data: Any = SimpleNamespace(train_rows=lambda _: rows, valid_rows=lambda _: rows[:2000], images=rows)
    pace = mlp_pace(data, {"kind": "mlp"}, "/255", 0)
    assert pace.start == pytest.approx(0.2, abs=0.02)
    assert 1 / pace.images_per_second == pytest.approx(each, rel=0.1)
    assert pace.predict == pytest.approx(0.001 * len(rows[:2000]))
