"""The blend's members: the finished runs with the same folds, and the blend's name that follows from them."""

from dataclasses import dataclass

from digits.common.code_version import code_version
from digits.common.files import fingerprint
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.ensemble.selection import Member
from digits.training.budget import Plan
from digits.training.candidates import baseline_runs
from digits.training.runs import PROBABILITIES, WITHOUT_TTA, RunFolder


@dataclass(frozen=True)
class Members:
    """Runs, and the folds that each of them has fitted."""

    runs: tuple[RunFolder, ...]
    folds: tuple[int, ...]

    def variants(self, data: Dataset) -> dict[str, list[Member]]:
        """The runs' probabilities without and with TTA, in this order; {"": members} where no run has TTA."""
        with_tta = [self._member(run, data, PROBABILITIES) for run in self.runs]
        if not any(run.has_tta() for run in self.runs):
            return {"": with_tta}
        without_tta = [
            self._member(run, data, WITHOUT_TTA) if run.has_tta() else member
            for run, member in zip(self.runs, with_tta, strict=True)
        ]
        return {"without TTA": without_tta, "with TTA": with_tta}

    def _member(self, run: RunFolder, data: Dataset, file: str) -> Member:
        result = run.result(data, self.folds, file)
        return Member(run.path.name, result.rows, result.oof, result.holdout, result.test)


def members(params: Params, plan: Plan, data: Dataset, paths: Paths) -> Members:
    """The planned networks, and every other network and baseline of the params that has fitted the same folds.

    Where a later network has fewer folds than the first, the folds that all of them have are used; a network with at
    most half of the first one's folds is left out until it has more.
    """
    planned = {part.spec.folder_name: RunFolder(paths.runs, part.spec) for part in plan.parts}
    done = {name: set(run.done(data.fold_count)) for name, run in planned.items()}
    first = next(iter(done.values()))
    enough = [own for own in done.values() if len(own & first) > len(first) / 2]
    folds = sorted(set.intersection(*enough)) if enough else [*range(data.fold_count)]
    specs = [*plan.alternatives, *baseline_runs(params, data, paths.studies)]
    # the planned ones first, and none twice
    runs = planned | {
        spec.folder_name: RunFolder(paths.runs, spec) for spec in specs if spec.folder_name not in planned
    }
    return Members(tuple(run for run in runs.values() if all(map(run.has, folds))), tuple(folds))


def blend_name(params: Params, chosen: Members) -> str:
    """Name of the blend's folder: a fingerprint of the members' fits, the params and the code that decide it."""
    decisive = {
        "members": {run.path.name: [unit.name for unit in run.units(params.data.folds)] for run in chosen.runs},
        "folds": chosen.folds,
        "ensemble": params.ensemble.model_dump(mode="json"),
        "public_share": params.competition.public_share,
        "code": code_version("blend"),
    }
    return f"blend-{fingerprint(decisive)}"
