"""Which finished runs are blended, and the blend that follows from them."""

from digits.config import Params, Paths
from digits.files import fingerprint
from digits.prepared import Prepared
from digits.runs import RunFolder
from digits.studies import baseline_runs, study_of, train_run
from digits.versions import code_version


def members(written: Params, settled: Params, data: Prepared, paths: Paths) -> list[RunFolder]:
    """The trained network and every baseline of params.yaml, as far as their folds are all fitted.

    written: the params as they are; settled: with every `auto` settled for this machine.
    """
    study = study_of(written, data, paths.studies, "train")
    specs = [train_run(settled, data, study), *baseline_runs(written, data, paths.studies)]
    folders = [RunFolder(paths.runs, spec) for spec in specs]
    return [folder for folder in folders if not folder.missing(data.fold_count)]


def blend_name(params: Params, chosen: list[RunFolder]) -> str:
    """Name of the blend of these members with these params and the code as it is now."""
    decisive = {
        "members": [member.path.name for member in chosen],
        "rounds": params.ensemble.rounds,
        "code": code_version("digits.ensemble", "digits.metrics"),
    }
    return f"blend-{fingerprint(decisive)}"
