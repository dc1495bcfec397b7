"""Blend the finished runs, and estimate how good the blend is."""

import numpy as np

from digits.blends import Blend, load_blend, mark_current, save_blend
from digits.ensemble import blend, climb, cross_fitted
from digits.files import fingerprint
from digits.job import Job, Outcome
from digits.metrics import accuracy
from digits.prepared import Prepared, load_current
from digits.runs import RunFolder
from digits.studies import baseline_runs, train_run
from digits.versions import code_version


def run(job: Job) -> Outcome:
    """Make runs/blend-<fingerprint> of the trained network and of every finished baseline."""
    data = load_current(job.paths.processed)
    specs = [train_run(job.params, data, job.paths.studies), *baseline_runs(job.params, data)]
    folders = [RunFolder(job.paths.runs, spec) for spec in specs]
    members = [folder for folder in folders if not folder.missing(data.fold_count)]
    decisive = {
        "members": [member.path.name for member in members],
        "rounds": job.params.ensemble.rounds,
        "code": code_version("digits.ensemble", "digits.metrics", "digits.stages.ensemble"),
    }
    name = f"blend-{fingerprint(decisive)}"
    made = load_blend(job.paths.runs, name)
    result = made or _blend(job, data, members, name)
    mark_current(job.paths.runs, name)
    weights = ", ".join(f"{weight:.0%} {member}" for member, weight in result.weights.items() if weight)
    return Outcome(f"{weights}: CV accuracy {result.cv:.4f}, holdout {result.holdout:.4f}", made is None)


def _blend(job: Job, data: Prepared, members: list[RunFolder], name: str) -> Blend:
    results = [member.result(data) for member in members]
    working = data.working_rows
    labels, folds = np.asarray(data.labels)[working], np.asarray(data.folds)[working]
    rounds = job.params.ensemble.rounds
    weights = climb([result.oof for result in results], labels, rounds)
    cv = accuracy(cross_fitted([result.oof for result in results], labels, folds, rounds), labels)
    arrays = {
        part: blend([getattr(result, part) for result in results], weights) for part in ("oof", "holdout", "test")
    }
    held_out = accuracy(arrays["holdout"], data.labels[data.holdout_rows])
    result = Blend(
        name=name,
        data=data.hash,
        weights={member.path.name: float(weight) for member, weight in zip(members, weights, strict=True)},
        cv=cv.value,
        cv_low=cv.low,
        cv_high=cv.high,
        holdout=held_out.value,
        holdout_low=held_out.low,
        holdout_high=held_out.high,
    )
    save_blend(job.paths.runs, result, **arrays)
    return result
