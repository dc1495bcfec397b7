"""What the minutes are spent on follows from how fast the machine is, and from what is finished."""

from dataclasses import replace
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.models import build
from digits.training import timing
from digits.training.budget import Part, Plan, make_plan
from digits.training.device import Device
from digits.training.fitting import fit_refit, fit_unit
from digits.training.runs import RunFolder, RunSpec, run_spec
from digits.training.schedule import Fit, Timing
from digits.training.timing import measured_timing
from digits.training.tuned import study_of
from toys import ROOT, TOY

CONSOLE = Console(plain=True)
DEVICE = Device("CPU", 0, "float32", 16, 2, 1.0)


def plan_of(params: Params, data: Dataset, folder: Path) -> Plan:
    study = study_of(params, data, folder / "tune", "train")
    return make_plan(params, study, data, DEVICE, Paths(folder), CONSOLE)


def only(plan: Plan) -> Part:
    [part] = plan.parts
    return part


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which each network takes a second per image learned from for each filter; who was asked for."""
    asked: list[str] = []

    def timing(data: Dataset, run: RunSpec, *_: object) -> Timing:
        asked.append(run.model["layers"])
        return Timing(start=1.0, image=int(run.model["layers"].split("C")[0]) / 1000, look=1e-4)

    monkeypatch.setattr("digits.training.budget.measured_timing", timing)
    return asked


NETWORKS = (
    "networks={little: {layers: 2C3 MP2 8, epochs: 1}, large: {layers: 32C3 MP2 8, epochs: 10}}",
    "train.candidates=[little, default, large]",
)


def test_more_minutes_mean_longer_fits(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    chosen = {}
    for minutes in (0.032, 0.3, 60):
        params = load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, f"train.budget={minutes}"])
        plan = plan_of(params, toy_data, tmp_path)
        part = only(plan)
        chosen[minutes] = part.name
        assert part.spec.model["layers"] == steady[-1], "what was chosen was not measured"
        assert part.spec.model["threads"] == 2 and plan.workers == 2
        assert part.spec not in plan.others
        assert {run.model["layers"] for run in (part.spec, *plan.others)} == {
            f"{filters}C3 MP2 8" for filters in (2, 4, 32)
        }
    assert chosen == {0.032: "little", 0.3: "default", 60: "large"}


def test_a_budget_is_less_what_is_finished(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, "train.network=little", "train.budget=2"])
    plan = plan_of(params, toy_data, tmp_path)
    part = only(plan)
    assert part.goal.folds == 3 and plan.left(tmp_path) == pytest.approx(0.94 * 120)
    assert plan.ends(tmp_path) == pytest.approx([0.94 * 120])
    folder = RunFolder(tmp_path, part.spec)
    fit_unit(toy_data, tmp_path, part.spec, 1)
    fit_refit(toy_data, tmp_path, part.spec, Fit(None, 1, 43))
    took = folder.unit_seconds(folder.unit(1)) + folder.unit_seconds(folder.whole(Fit(None, 1, 43)))
    assert plan.left(tmp_path) == pytest.approx(0.94 * 120 - took / 2)
    assert plan.ends(tmp_path) == [plan.left(tmp_path)]
    assert [slot.fit.fold for slot in plan.slots(part, tmp_path, 100)] == [0, 2]  # one on all images is there already
    assert only(plan_of(params, toy_data, tmp_path)).spec == part.spec


def test_with_many_minutes_networks_are_fitted_beside_the_first(
    toy_data: Dataset, tmp_path: Path, steady: list[str]
) -> None:
    def plan(*given: str) -> Plan:
        beside = "train.extra=[little, large]"
        return plan_of(load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, beside, *given]), toy_data, tmp_path)

    assert [part.name for part in plan("train.budget=1", "train.candidates=[default]").parts] == ["default", "little"]
    several = plan("train.budget=10", "train.candidates=[default]")
    assert [part.name for part in several.parts] == ["default", "little", "large"]
    assert {part.goal.folds for part in several.parts} == {3}
    assert [part.goal.certain for part in several.parts] == [True, False, False]
    assert several.ends(tmp_path)[-1] == pytest.approx(several.left(tmp_path)) == pytest.approx(0.94 * 600)
    assert [part.name for part in plan("train.budget=10").parts] == ["large", "little"], "the first is not fitted twice"
    assert [part.name for part in plan("train.budget=10", "train.network=little").parts] == ["little"]

    first = several.parts[0]
    fit_unit(toy_data, tmp_path, first.spec, 0)
    took = first.spent(tmp_path) / 2
    assert several.ends(tmp_path) == pytest.approx(
        [sum(part.seconds for part in several.parts[: count + 1]) - took for count in range(3)]
    )


def test_practice_takes_no_more_than_a_minute(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, "train.budget=30"])
    practice = replace(toy_data, about=toy_data.about | {"provenance": "practice"})
    assert plan_of(params, practice, tmp_path).minutes == 1
    assert plan_of(params, toy_data, tmp_path).minutes == 30


def test_small_sets_are_fitted_for_more_epochs(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, "train.min_steps=70"])
    assert only(plan_of(params, toy_data, tmp_path)).goal.epochs == 12  # of 6 steps each, with 108 images of 162


def test_a_pace_is_measured_once(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.settle(toy_params.train.spec).model_dump(mode="json")
    run, longer = (run_spec("cnn", model | {"epochs": epochs}, "/255", 0, toy_data) for epochs in (2, 9))
    found = measured_timing(toy_data, run, DEVICE, tmp_path / "m", CONSOLE)
    assert found.start > 0 and 0 < found.look < found.image < 0.1
    [kept] = (tmp_path / "m").iterdir()
    written = kept.stat().st_mtime_ns
    assert measured_timing(toy_data, longer, DEVICE, tmp_path / "m", CONSOLE) == found
    assert kept.stat().st_mtime_ns == written and [*kept.parent.iterdir()] == [kept]


def test_a_pace_is_measured_where_the_fits_will_be(
    toy_data: Dataset, toy_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on a GPU of its own; with what needs images to look at, too; and anew where the GPUs are others."""
    asked: list[str | None] = []

    def measured(order: timing._Order) -> tuple[dict[str, float], float]:
        asked.append(order.place)
        return {"start": 1.0, "image": 0.1, "look": 0.1}, inf

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    model = DEVICE.settle(toy_params.train.spec).model_dump(mode="json") | {"patience": 1, "restore_best_weights": True}
    run = run_spec("cnn", model, "/255", 0, toy_data)
    assert measured_timing(toy_data, run, DEVICE, tmp_path, CONSOLE).image > 0
    monkeypatch.setattr(timing, "_measure_in_subprocess", measured)
    for device in ("H100", "T4", "T4"):
        measured_timing(toy_data, run, replace(DEVICE, name=device, gpus=2), tmp_path, CONSOLE)
    assert sorted(map(str, asked)) == ["0", "0", "1", "1"]


def test_a_slow_machine_is_not_watched_for_longer_than_needed(
    toy_data: Dataset, toy_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []

    def built(*given: Any) -> Any:
        models.append(build(*given))
        return models[-1]

    monkeypatch.setattr("digits.training.timing.build", built)
    model = DEVICE.settle(toy_params.train.spec).model_dump(mode="json") | {"epochs": 5}
    told: list[tuple[dict[str, float], float]] = []
    for enough in (0.0, 60.0):
        monkeypatch.setattr("digits.training.timing._ENOUGH", enough)
        timing._measure(timing._Order(toy_data.folder, model, "/255"), told.append)
    assert [len(fitted.history_) for fitted in models] == [2, 5]
    assert all(found["image"] > 0 and processors > 0 for found, processors in told)


@pytest.mark.parametrize(("place", "share", "warns"), [(None, 0.5, True), (None, 1.0, False), ("0", 0.5, False)])
def test_a_pace_that_other_programs_slowed_down_says_so(
    place: str | None,
    share: float,
    warns: bool,
    toy_data: Dataset,
    toy_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A GPU is waited for, so there the processor's time says nothing."""
    started = perf_counter()

    def measured(order: timing._Order) -> timing._Found:
        told: list[timing._Found] = []
        timing._measure(replace(order, place=place), told.append)
        return told[0]

    monkeypatch.setattr(timing, "compute_on", lambda _: None)
    monkeypatch.setattr(timing, "process_time", lambda: share * (perf_counter() - started))
    monkeypatch.setattr(timing, "_measure_in_subprocess", measured)
    model = DEVICE.settle(toy_params.train.spec).model_dump(mode="json")
    run, one = run_spec("cnn", model, "/255", 0, toy_data), replace(DEVICE, gpus=1)
    measured_timing(toy_data, run, one, tmp_path, Console(plain=True))
    assert (f"rm -r {tmp_path}" in capsys.readouterr().out.replace("\n", " ")) == warns


def test_a_network_that_cannot_be_fitted_is_named(toy_data: Dataset, toy_params: Params, tmp_path: Path) -> None:
    model = DEVICE.settle(toy_params.train.spec).model_dump(mode="json") | {"learning_rate": 1e30}
    with pytest.raises(UserError, match="train: 4C3 MP2 8 cannot be fitted here: the loss became"):
        measured_timing(toy_data, run_spec("cnn", model, "/255", 0, toy_data), DEVICE, tmp_path, CONSOLE)


def test_what_was_fitted_with_less_time_is_gone_on_with(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    def plan(minutes: float) -> tuple[Plan, Part]:
        large = ("networks={large: {layers: 8C3 MP2 8, epochs: 10}}", "train.candidates=[default, large]")
        given = [*TOY, *large, f"train.budget={minutes}"]
        found = plan_of(load_params(ROOT / "params.yaml", given), toy_data, tmp_path)
        return found, only(found)

    (_, short), (_, long) = plan(0.18), plan(60)
    assert (short.name, short.goal.epochs, long.name, long.goal.epochs) == ("large", 8, "large", 10)
    fit_unit(toy_data, Paths(tmp_path).runs, short.spec, 0)
    plan_again, again = plan(60)
    assert again.spec == short.spec and again.goal.epochs == 8
    assert again.goal.folds == 3 and long.spec in plan_again.others
