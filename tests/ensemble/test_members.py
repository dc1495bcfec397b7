"""Whatever is finished on the same folds is blended, once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.data.sample import sampled
from digits.ensemble.members import Members, blend_name, members
from digits.training.budget import Part, Plan
from digits.training.candidates import baseline_runs
from digits.training.device import Device
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunSpec, run_spec
from digits.training.schedule import Fit, Goal, Sizes, Timing
from toys import ROOT, TOY


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def specs(toy_params: Params, toy_data: Dataset) -> dict[str, RunSpec]:
    """Two models that are fitted at once, in place of networks; a third that is the first by another name."""
    [nearest] = [spec for spec in baseline_runs(toy_params, toy_data) if spec.name == "nearest"]
    other = replace(nearest, model=nearest.model | {"n_neighbors": 5})
    some = replace(nearest, model=nearest.model | {"n_neighbors": 1})
    return {"some": some, "other": other, "same": some}


@pytest.fixture
def networks(toy_data: Dataset) -> dict[str, RunSpec]:
    """A network."""
    model = load_params(ROOT / "params.yaml", TOY).train.spec
    return {"plain": run_spec("cnn", model.model_dump(mode="json"), "/255", 0, toy_data)}


def found(
    params: Params,
    specs: dict[str, RunSpec],
    names: str,
    data: Dataset,
    paths: Paths,
    learned: Dataset | None = None,
) -> Members:
    """The members where the networks of these names are planned. learned: the sample of the plan, if it has one."""
    goal = Goal(folds=2, epochs=2, seed=0, refits=1)
    parts = tuple(Part(name, specs[name], goal, Timing(1, 1, 1), 60) for name in names.split())
    device = Device("CPU", 0, "float32", 16, 1, 1.0, 2)
    plan = Plan(parts, tuple(specs.values()), learned or data, Sizes(1, 1, 1), device, minutes=1, least=1)
    return members(params, plan, data, paths)


def test_members_are_all_runs_that_have_the_folds_of_the_planned_one(
    toy_params: Params, toy_data: Dataset, specs: dict[str, RunSpec], paths: Paths
) -> None:
    small = baseline_runs(toy_params, toy_data)[0]
    for fold in range(3):
        fit_fold_unit(toy_data, paths.runs, small, fold)
    assert [units.run.spec.name for units in found(toy_params, specs, "some", toy_data, paths).runs] == ["small"]
    fit_fold_unit(toy_data, paths.runs, specs["some"], 0)
    fit_fold_unit(toy_data, paths.runs, specs["some"], 1)
    fit_fold_unit(toy_data, paths.runs, specs["other"], 0)
    two = found(toy_params, specs, "some", toy_data, paths)
    assert ([units.run.spec for units in two.runs], two.folds) == ([specs["some"], small], (0, 1))
    three = found(toy_params, specs, "other", toy_data, paths)
    assert ([units.run.spec for units in three.runs], three.folds) == ([specs["other"], specs["some"], small], (0,))
    assert blend_name(toy_params, two.units) != blend_name(toy_params, three.units)
    of_a_share = load_params(ROOT / "params.yaml", [*TOY, "competition.public_share=0.3"])
    assert blend_name(of_a_share, two.units) != blend_name(toy_params, two.units)


def test_another_refit_is_another_blend(
    toy_params: Params, toy_data: Dataset, networks: dict[str, RunSpec], paths: Paths
) -> None:
    fit_fold_unit(toy_data, paths.runs, networks["plain"], 0)
    before = blend_name(toy_params, found(toy_params, networks, "plain", toy_data, paths).units)
    fit_refit_unit(toy_data, paths.runs, networks["plain"], Fit(None, 1, 5))
    chosen = found(toy_params, networks, "plain", toy_data, paths)
    assert blend_name(toy_params, chosen.units) != before
    [member] = chosen.predictions(toy_data)
    assert (len(member.test), len(member.holdout)) == (2, 1)


def test_further_networks_are_judged_on_the_folds_that_all_have(
    toy_params: Params, toy_data: Dataset, specs: dict[str, RunSpec], paths: Paths
) -> None:
    for fold in range(3):
        fit_fold_unit(toy_data, paths.runs, specs["some"], fold)
    fit_fold_unit(toy_data, paths.runs, specs["other"], 0)
    first = found(toy_params, specs, "some other", toy_data, paths)
    assert ([units.run.spec for units in first.runs], first.folds) == ([specs["some"]], (0, 1, 2)), (
        "one of three is too few"
    )
    fit_fold_unit(toy_data, paths.runs, specs["other"], 2)
    both = found(toy_params, specs, "some other", toy_data, paths)
    assert ([units.run.spec for units in both.runs], both.folds) == ([specs["some"], specs["other"]], (0, 2))


def test_members_are_judged_on_the_sample_that_some_have_learned_from(
    toy_params: Params, toy_data: Dataset, specs: dict[str, RunSpec], paths: Paths
) -> None:
    sample, small = sampled(toy_data, 2, seed=specs["some"].seed), baseline_runs(toy_params, toy_data)[0]
    learned = {"some": replace(specs["some"], data=sample.hash)}
    for fold in range(3):
        fit_fold_unit(toy_data, paths.runs, small, fold)
    before = found(toy_params, learned, "some", toy_data, paths, sample)
    assert before.data is toy_data, "none has learned from the sample yet"
    [alone] = before.predictions(toy_data)
    fit_fold_unit(sample, paths.runs, learned["some"], 0)
    both = found(toy_params, learned, "some", toy_data, paths, sample)
    assert [units.run.spec for units in both.runs] == [learned["some"], small]
    assert both.data is sample
    some, rest = both.predictions(toy_data)
    assert np.array_equal(some.rows, sample.valid_rows(0))
    assert np.array_equal(rest.rows, some.rows)
    assert np.array_equal(rest.oof, alone.oof[np.isin(alone.rows, rest.rows)])
    assert np.array_equal(rest.holdout, alone.holdout[:1, np.isin(toy_data.holdout_rows, sample.holdout_rows)])
    assert some.holdout.shape == rest.holdout.shape


def test_what_another_command_fits_meanwhile_is_not_put_under_the_name(
    toy_params: Params, toy_data: Dataset, networks: dict[str, RunSpec], paths: Paths
) -> None:
    for fold in (0, 1):
        fit_fold_unit(toy_data, paths.runs, networks["plain"], fold)
    chosen = found(toy_params, networks, "plain", toy_data, paths)
    name, before = blend_name(toy_params, chosen.units), chosen.predictions(toy_data)
    fit_fold_unit(toy_data, paths.runs, networks["plain"], 2)
    fit_refit_unit(toy_data, paths.runs, networks["plain"], Fit(None, 1, 5))
    assert blend_name(toy_params, chosen.units) == name
    for member, as_before in zip(chosen.predictions(toy_data), before, strict=True):
        for part in ("rows", "oof", "holdout", "test"):
            assert np.array_equal(getattr(member, part), getattr(as_before, part)), part
