"""Which finished runs are blended, and the blend that follows from them."""

from dataclasses import dataclass

from digits.config import Params, Paths
from digits.files import fingerprint
from digits.planning import Planned
from digits.prepared import Prepared
from digits.runs import PLAIN, SEEN, RunFolder
from digits.selection import Member
from digits.studies import baseline_runs
from digits.versions import code_version


@dataclass(frozen=True)
class Members:
    """Runs, and the folds that all of them have fitted."""

    runs: tuple[RunFolder, ...]
    folds: tuple[int, ...]

    def variants(self, data: Prepared) -> dict[str, list[Member]]:
        """The runs' probabilities, without views of the images and with them; in one way where none has views."""
        seen = [self._member(run, data, SEEN) for run in self.runs]
        if not any(run.has_views() for run in self.runs):
            return {"": seen}
        plain = [
            self._member(run, data, PLAIN) if run.has_views() else same
            for run, same in zip(self.runs, seen, strict=True)
        ]
        return {"without views": plain, "with views": seen}

    def _member(self, run: RunFolder, data: Prepared, file: str) -> Member:
        result = run.result(data, self.folds, file)
        return Member(run.path.name, result.rows, result.oof, result.holdout, result.test)


def members(params: Params, plan: Planned, data: Prepared, paths: Paths) -> Members:
    """The network that was planned, and every other network and baseline of params.yaml that has its folds too."""
    planned = RunFolder(paths.runs, plan.spec)
    folds = planned.done(data.fold_count) or [*range(data.fold_count)]
    specs = [plan.spec, *plan.others, *baseline_runs(params, data, paths.studies)]
    runs = {spec.folder_name: RunFolder(paths.runs, spec) for spec in specs}  # the planned one first, and once
    return Members(tuple(run for run in runs.values() if all(map(run.has, folds))), tuple(folds))


def blend_name(params: Params, chosen: Members) -> str:
    """Name of the blend of these members with these params and the code as it is now."""
    decisive = {
        "members": {run.path.name: [unit.name for unit in map(run.whole, run.wholes())] for run in chosen.runs},
        "folds": chosen.folds,
        "ensemble": params.ensemble.model_dump(mode="json"),
        "code": code_version("digits.ensemble", "digits.selection", "digits.estimate", "digits.blends"),
    }
    return f"blend-{fingerprint(decisive)}"
