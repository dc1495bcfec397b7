"""Blend the finished runs, and estimate how good the blend is."""

import numpy as np

from digits.blends import Blend, load_blend, save_blend
from digits.ensemble import blend, climb, cross_fitted
from digits.errors import UserError
from digits.job import Job, Outcome
from digits.members import blend_name, members
from digits.metrics import accuracy
from digits.runs import RunFolder


def run(job: Job) -> Outcome:
    """Make runs/blend-<fingerprint> of the trained network and of every finished baseline."""
    chosen = members(job.params, job.settled, job.data, job.paths)
    if not chosen:
        raise UserError("no run is finished for these params; type: make train")
    name = blend_name(job.params, chosen)
    made = load_blend(job.paths.runs, name)
    result = made or _blend(job, chosen, name)
    weights = ", ".join(f"{weight:.0%} {member}" for member, weight in result.weights.items() if weight)
    return Outcome(f"{weights}: CV accuracy {result.cv}, holdout {result.holdout}", made is None)


def _blend(job: Job, chosen: list[RunFolder], name: str) -> Blend:
    data, rounds = job.data, job.params.ensemble.rounds
    results = [member.result(data) for member in chosen]
    labels, folds = np.asarray(data.labels)[data.working_rows], np.asarray(data.folds)[data.working_rows]
    oof = [result.oof for result in results]
    weights = climb(oof, labels, rounds)
    arrays = {
        part: blend([getattr(result, part) for result in results], weights) for part in ("oof", "holdout", "test")
    }
    result = Blend(
        name=name,
        weights={member.path.name: float(weight) for member, weight in zip(chosen, weights, strict=True)},
        cv=accuracy(cross_fitted(oof, labels, folds, rounds), labels),
        holdout=accuracy(arrays["holdout"], data.labels[data.holdout_rows]),
    )
    save_blend(job.paths.runs, result, **arrays)
    return result
