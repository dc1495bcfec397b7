"""Blend the finished runs and estimate the blend's score."""

import numpy as np

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.sealed import intact
from digits.ensemble.blend import PICTURE, Blend, load_blend, make_blend, markdown, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.disagreement import draw_uncertain
from digits.ensemble.members import Members
from digits.ensemble.selection import select_method
from digits.evaluation.scoring import METRICS


def run(context: Context) -> Outcome:
    """Make runs/blend-<fingerprint> of the trained networks and every finished baseline.

    Writes reports/ensemble.md and reports/uncertain.png.
    """
    chosen = context.members
    if not chosen.runs:
        raise UserError("no run is finished with these params; type: make train")
    name = context.blend_name
    saved = load_blend(context.paths.runs, name) if intact(context.paths.runs / name) else None
    blend = saved or _blend(context, chosen, name)
    write_atomic(context.paths.reports / "ensemble.md", markdown(blend))
    write_atomic(context.paths.reports / PICTURE, (context.paths.runs / name / PICTURE).read_bytes())
    metric = METRICS[blend.metric]
    return Outcome(
        f"{_composition(blend)}: expected score {blend.expected}{metric.unit}{metric.direction}, "
        f"CV {metric.title} {blend.cv}, holdout {blend.holdout}; reports/ensemble.md, uncertain.png",
        saved is None,
    )


def _composition(blend: Blend) -> str:
    """The method and the members with their weights, in a line."""
    if len(blend.weights) == 1:
        return f"{next(iter(blend.weights))} {blend.method}"
    parts = [
        member if weight is None else f"{weight:.0%} {member}"
        for member, weight in blend.weights.items()
        if weight != 0
    ]
    return f"{blend.method}, {', '.join(parts)}"


def _blend(context: Context, chosen: Members, name: str) -> Blend:
    data, params, competition = chosen.data, context.params.ensemble, context.params.competition
    metric = METRICS[competition.metric]
    labels, folds = np.asarray(data.labels), np.asarray(data.folds)
    members = chosen.predictions(context.data)
    rows = members[0].rows
    candidates = methods(len(chosen.runs), params.selection_rounds, params.stacking_c)
    selection = select_method(members, candidates, labels[rows], folds[rows], metric)
    blend, predictions = make_blend(
        name, selection, labels[rows], labels[data.holdout_rows], chosen.units, competition.public_share, metric
    )
    picture = draw_uncertain(data, data.class_names, selection, predictions)
    save_blend(context.paths.runs, blend, predictions, picture, data.about)
    return blend
