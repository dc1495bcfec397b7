"""The blend's members, which are finished runs with the same folds, and the blend's name, which follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from digits.common.code_version import code_version
from digits.common.errors import UserError
from digits.common.files import fingerprint
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.ensemble.selection import Member
from digits.training.budget import Plan
from digits.training.candidates import baseline_runs
from digits.training.crossval import rows_of
from digits.training.elsewhere import made_elsewhere
from digits.training.runs import RunFolder, RunSpec, Units


@dataclass(frozen=True)
class Members:
    """The members' units, listed once, and the folds that are finished in all of them.

    data: the images that all of them are judged on: all, or the sample that some of them have learned from.
    """

    runs: tuple[Units, ...]
    folds: tuple[int, ...]
    data: Dataset

    @property
    def units(self) -> dict[str, list[str]]:
        """Names of the units, by the run's folder."""
        return {units.run.path.name: [path.name for path in units.paths] for units in self.runs}

    def predictions(self, data: Dataset) -> list[Member]:
        """The runs' probabilities. data: the data set of the sample, if they are judged on one."""
        return [
            self._member(units, self.data if units.run.spec.data == self.data.hash else data) for units in self.runs
        ]

    def _member(self, units: Units, data: Dataset) -> Member:
        """The probabilities of a run on `data` for the images that all members are judged on."""
        each = units.result(data, self.folds)
        member = Member(units.run.path.name, each.rows, each.oof, each.holdout, each.test)
        if data is self.data:
            return member
        rows = np.isin(each.rows, rows_of(self.data, self.folds))
        held = np.isin(data.holdout_rows, self.data.holdout_rows)
        return replace(member, rows=each.rows[rows], oof=each.oof[rows], holdout=each.holdout[:, held])


def members(params: Params, plan: Plan, data: Dataset, paths: Paths) -> Members:
    """The planned networks, and every other network and baseline of the params that has fitted the same folds.

    Networks that were fitted elsewhere, as on Kaggle, count as planned ones.

    If a later network has fewer folds than the first, only the folds that all of them have are used. A network with at
    most half of the first one's folds is left out until it has more. data: all images, also if the plan has a sample.
    """
    elsewhere = made_elsewhere(params, paths.runs, {data.hash, plan.data.hash})
    planned = [*(part.spec for part in plan.parts), *elsewhere]
    baselines = baseline_runs(params, data)
    _check_others([*elsewhere, *plan.alternatives, *baselines], paths)
    # the planned ones first, and none twice
    specs = [*planned, *plan.alternatives, *baselines]
    runs = {spec.folder_name: RunFolder(paths.runs, spec).units(data.fold_count) for spec in specs}
    done = [set(runs[spec.folder_name].folds) for spec in planned]
    enough = [own for own in done if len(own & done[0]) > len(done[0]) / 2]
    folds = set.intersection(*enough) if enough else {*range(data.fold_count)}
    taken = tuple(units for units in runs.values() if folds <= {*units.folds})
    judged = plan.data if any(units.run.spec.data == plan.data.hash for units in taken) else data
    return Members(taken, tuple(sorted(folds)), judged)


def _check_others(specs: Sequence[RunSpec], paths: Paths) -> None:
    """Raise UserError if fits that this command does not make are damaged: the blend would be another one."""
    damaged = [spec.folder_name for spec in specs if not RunFolder(paths.runs, spec).check("is left out")]
    if damaged:
        raise UserError(
            f"fits in runs/{damaged[0]} are damaged and set aside; type make baseline, or make train with the budget "
            "of then, which makes them again, or the same command, which goes on without them"
        )


def blend_name(params: Params, units: dict[str, list[str]]) -> str:
    """Name of the blend's folder: a fingerprint of the members' units, the params and the code that decide it.

    units: see `Members`; they tell which folds all members have.
    """
    decisive = {
        "members": units,
        "ensemble": params.ensemble.model_dump(mode="json"),
        "public_share": params.competition.public_share,
        "metric": params.competition.metric,
        "code": code_version("blend"),
    }
    return f"blend-{fingerprint(decisive)}"
