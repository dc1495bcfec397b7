"""Which finished runs are blended, and the blend that follows from them."""

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
    """Runs, and the folds that all of them have fitted."""

    runs: tuple[RunFolder, ...]
    folds: tuple[int, ...]

    def variants(self, data: Dataset) -> dict[str, list[Member]]:
        """The runs' probabilities, without tta of the images and with them; in one method where none has tta."""
        seen = [self._member(run, data, PROBABILITIES) for run in self.runs]
        if not any(run.has_tta() for run in self.runs):
            return {"": seen}
        plain = [
            self._member(run, data, WITHOUT_TTA) if run.has_tta() else same
            for run, same in zip(self.runs, seen, strict=True)
        ]
        return {"without tta": plain, "with tta": seen}

    def _member(self, run: RunFolder, data: Dataset, file: str) -> Member:
        result = run.result(data, self.folds, file)
        return Member(run.path.name, result.rows, result.oof, result.holdout, result.test)


def members(params: Params, plan: Plan, data: Dataset, paths: Paths) -> Members:
    """The networks that were planned, and every other network and baseline of params.yaml that has their folds too.

    Where time was too short for all folds of a later network, those that all have are what is judged; a network with
    less than half as many as the first waits for the rest.
    """
    planned = {part.spec.folder_name: RunFolder(paths.runs, part.spec) for part in plan.parts}
    done = {name: set(run.done(data.fold_count)) for name, run in planned.items()}
    first = next(iter(done.values()))
    enough = [found for found in done.values() if len(found & first) > len(first) / 2]
    folds = sorted(set.intersection(*enough)) if enough else [*range(data.fold_count)]
    specs = [*plan.others, *baseline_runs(params, data, paths.studies)]
    # those that are planned come first, and once
    runs = planned | {
        spec.folder_name: RunFolder(paths.runs, spec) for spec in specs if spec.folder_name not in planned
    }
    return Members(tuple(run for run in runs.values() if all(map(run.has, folds))), tuple(folds))


def blend_name(params: Params, chosen: Members) -> str:
    """Name of the blend of these members with these params and the code as it is now."""
    decisive = {
        "members": {run.path.name: [unit.name for unit in run.units(params.data.folds)] for run in chosen.runs},
        "folds": chosen.folds,
        "ensemble": params.ensemble.model_dump(mode="json"),
        "code": code_version("blend"),
    }
    return f"blend-{fingerprint(decisive)}"
