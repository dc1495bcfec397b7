"""What the minutes are spent on follows from how fast the machine is, and from what is finished."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from digits.common.console import Console
from digits.common.sealed import write_json
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.training.budget import Part, Plan, make_plan
from digits.training.device import Device
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunFolder, RunSpec
from digits.training.schedule import Fit, Timing, fit_seconds
from toys import ROOT, TOY

CONSOLE = Console(plain=True)
DEVICE = Device("CPU", 0, "float32", 16, 1, 1.0, 2)


def plan_of(params: Params, data: Dataset, folder: Path) -> Plan:
    return make_plan(params, data, DEVICE, Paths(folder), CONSOLE)


def only(plan: Plan) -> Part:
    [part] = plan.parts
    return part


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which a network takes 1 ms per training image and filter; the layers of the measured networks."""
    asked: list[str] = []

    def timing_of(data: Dataset, run: RunSpec, *_: object) -> Timing:
        asked.append(run.model["layers"])
        return Timing(start=1.0, per_image=int(run.model["layers"].split("C")[0]) / 1000, per_prediction=1e-4)

    monkeypatch.setattr("digits.training.budget.measured_timing", timing_of)
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
        assert part.spec.model["threads"] == 2
        assert plan.device.parallel_fits == 2
        assert part.spec not in plan.alternatives
        assert {run.model["layers"] for run in (part.spec, *plan.alternatives)} == {
            f"{filters}C3 MP2 8" for filters in (2, 4, 32)
        }
    assert chosen == {0.032: "little", 0.3: "default", 60: "large"}


def test_a_budget_is_less_what_is_finished(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, "train.network=little", "train.budget=2"])
    plan = plan_of(params, toy_data, tmp_path)
    part = only(plan)
    assert part.goal.folds == 3
    [end], latest = plan.ends(tmp_path)
    assert (end, latest) == pytest.approx((0.94 * 120, 1.02 * 120))
    fit_fold_unit(toy_data, tmp_path, part.spec, 1)
    fit_refit_unit(toy_data, tmp_path, part.spec, Fit(None, 1, 43))
    took = RunFolder(tmp_path, part.spec).units(3).seconds
    assert took > 0
    [end], latest = plan.ends(tmp_path)
    assert (end, latest) == pytest.approx((0.94 * 120 - took / 2, 1.02 * 120 - took / 2))
    assert [each.fit.fold for each in plan.schedule(part, tmp_path, 100)] == [0, 2]  # the refit is there already
    assert only(plan_of(params, toy_data, tmp_path)).spec == part.spec


def test_with_many_minutes_further_networks_are_fitted(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    def plan(*given: str) -> Plan:
        extra = "train.extra=[little, large]"
        return plan_of(load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, extra, *given]), toy_data, tmp_path)

    assert [part.name for part in plan("train.budget=1", "train.candidates=[default]").parts] == ["default", "little"]
    several = plan("train.budget=10", "train.candidates=[default]")
    assert [part.name for part in several.parts] == ["default", "little", "large"]
    assert {part.goal.folds for part in several.parts} == {3}
    assert [part.goal.required for part in several.parts] == [True, False, False]
    assert several.ends(tmp_path)[0][-1] == pytest.approx(0.94 * 600)
    assert [part.name for part in plan("train.budget=10").parts] == ["large", "little"], "the first is not fitted twice"
    assert [part.name for part in plan("train.budget=10", "train.network=little").parts] == ["little"]

    first = several.parts[0]
    fit_fold_unit(toy_data, tmp_path, first.spec, 0)
    took = first.units(tmp_path).seconds / 2
    assert several.ends(tmp_path)[0] == pytest.approx(
        [sum(part.seconds for part in several.parts[: count + 1]) - took for count in range(3)]
    )


def test_the_score_is_expected_of_the_blend_where_all_its_networks_were_measured(
    toy_data: Dataset, tmp_path: Path, steady: list[str]
) -> None:
    def plan(*given: str) -> Plan:
        both = "train.candidates=[little]", "train.extra=[large]"
        return plan_of(load_params(ROOT / "params.yaml", [*TOY, *NETWORKS, *both, *given]), toy_data, tmp_path)

    accuracy = "train.measured_accuracy={toy: {little: {1: 0.9}, large: {5: 0.8, 10: 0.9}}}"
    measured = plan("train.budget=10", accuracy)
    assert [part.name for part in measured.parts] == ["little", "large"]
    assert measured.error is not None
    fits = [error for part in measured.parts for error in part.errors or ()]
    assert measured.error < sum(fits) / len(fits), "a blend makes fewer errors than its fits"
    assert plan("train.budget=10", accuracy.replace("large", "medium")).error is None
    assert not measured.generous
    assert plan("train.budget=10", accuracy, "train.refits=30").generous, "half of so many fits are as good"


def test_practice_takes_no_more_than_a_minute(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, "train.budget=30"])
    practice = replace(toy_data, about=toy_data.about | {"provenance": "practice"})
    assert plan_of(params, practice, tmp_path).minutes == 1
    assert plan_of(params, toy_data, tmp_path).minutes == 30


def test_small_sets_are_fitted_for_more_epochs(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    params = load_params(ROOT / "params.yaml", [*TOY, "train.min_steps=70"])
    assert only(plan_of(params, toy_data, tmp_path)).goal.epochs == 12  # of 6 steps each, with 108 images of 162


def test_what_was_fitted_with_less_time_is_gone_on_with(toy_data: Dataset, tmp_path: Path, steady: list[str]) -> None:
    def plan(minutes: float) -> tuple[Plan, Part]:
        large = ("networks={large: {layers: 8C3 MP2 8, epochs: 10}}", "train.candidates=[large]")
        given = [*TOY, *large, f"train.budget={minutes}"]
        found = plan_of(load_params(ROOT / "params.yaml", given), toy_data, tmp_path)
        return found, only(found)

    (_, hasty), (_, short), (_, long) = plan(0.14), plan(0.18), plan(60)
    assert (hasty.goal.epochs, short.goal.epochs, long.goal.epochs) == (6, 8, 10)
    fit_fold_unit(toy_data, Paths(tmp_path).runs, hasty.spec, 0)
    assert plan(60)[1].spec == long.spec, "six epochs are far too few for an hour"
    fit_fold_unit(toy_data, Paths(tmp_path).runs, short.spec, 0)
    plan_again, again = plan(60)
    assert again.spec == short.spec
    assert again.goal.epochs == 8
    assert again.goal.folds == 3
    assert long.spec in plan_again.alternatives


@pytest.mark.parametrize(
    ("threads", "gpus", "factor"), [(1, 0, 0.5), (2, 0, 2.0), (1, 1, 2.0)], ids=["one thread", "two threads", "gpu"]
)
def test_fits_are_held_against_what_was_measured(
    toy_data: Dataset, tmp_path: Path, steady: list[str], threads: int, gpus: int, factor: float
) -> None:
    """New ones, by the time that passed; by processor time where one thread computes beside other programs."""
    params = load_params(ROOT / "params.yaml", [*TOY, f"train.threads={threads}"])
    plan = replace(plan_of(params, toy_data, tmp_path), device=replace(DEVICE, gpus=gpus))
    part, runs = only(plan), Paths(tmp_path).runs
    folder, refit = RunFolder(runs, part.spec), Fit(None, 3, 1)
    for unit, fit in ((folder.fold(0), part.goal.fold_fit(0)), (folder.refit(refit), refit)):
        seconds = fit_seconds(fit, part.timing, plan.sizes)
        times = {"fit_seconds": 1.5 * seconds, "predict_seconds": 0.5 * seconds, "processor_seconds": 0.5 * seconds}
        write_json(unit / "metrics.json", times)
    paths = part.units(runs).paths
    assert plan.slowdowns(runs, ()) == pytest.approx([factor] * 2)
    assert plan.slowdowns(runs, paths[:1]) == pytest.approx([factor])
    assert plan.slowdowns(runs, paths) == []
    early = replace(part, spec=replace(part.spec, model=part.spec.model | {"early_stopping_patience": 3}))
    for path in paths:
        shutil.copytree(path, RunFolder(runs, early.spec).path / path.name)
    assert replace(plan, parts=(early,)).slowdowns(runs, ()) == [], "it may have stopped earlier than planned"
