"""The blend's members, which are finished runs with the same folds, and the blend's name, which follows from them."""

from dataclasses import dataclass

from digits.common.code_version import code_version
from digits.common.files import fingerprint
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.ensemble.selection import Member
from digits.training.budget import Plan
from digits.training.candidates import baseline_runs
from digits.training.runs import RunFolder, Units


@dataclass(frozen=True)
class Members:
    """The members' units, listed once, and the folds that are finished in all of them."""

    runs: tuple[Units, ...]
    folds: tuple[int, ...]

    @property
    def units(self) -> dict[str, list[str]]:
        """Names of the units, by the run's folder."""
        return {units.run.path.name: [path.name for path in units.paths] for units in self.runs}

    def predictions(self, data: Dataset) -> list[Member]:
        """The runs' probabilities."""
        results = ((units.run.path.name, units.result(data, self.folds)) for units in self.runs)
        return [Member(name, each.rows, each.oof, each.holdout, each.test) for name, each in results]


def members(params: Params, plan: Plan, data: Dataset, paths: Paths) -> Members:
    """The planned networks, and every other network and baseline of the params that has fitted the same folds.

    If a later network has fewer folds than the first, only the folds that all of them have are used. A network with at
    most half of the first one's folds is left out until it has more.
    """
    planned = [part.spec for part in plan.parts]
    specs = [*planned, *plan.alternatives, *baseline_runs(params, data)]
    # the planned ones first, and none twice
    runs = {spec.folder_name: RunFolder(paths.runs, spec).check().units(data.fold_count) for spec in specs}
    done = [set(runs[spec.folder_name].folds) for spec in planned]
    enough = [own for own in done if len(own & done[0]) > len(done[0]) / 2]
    folds = set.intersection(*enough) if enough else {*range(data.fold_count)}
    return Members(tuple(units for units in runs.values() if folds <= {*units.folds}), tuple(sorted(folds)))


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
