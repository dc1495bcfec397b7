"""All runs with their scores, sizes and times, and which of them are the best for their time."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from digits.evaluation.scoring import ACCURACY, Metric
from digits.report.chart import GREY, as_chart, plain_log, subplots
from digits.report.gather import COMPARISON, Content, Run, near_best
from digits.report.layout import Figure, Section, Table


def section(content: Content) -> Section:
    """A table of the runs, and a chart of their accuracies against time."""
    result = Section("runs", "Which models were tried?")
    if not content.runs or content.data is None:
        result.missing = "No run (a cross-validated model) is finished; type make baseline or make train."
        return result
    metric, scores = content.metric, [content.score(run) for run in content.runs]
    near = near_best(content.runs, np.asarray(content.data.labels), metric)
    # sd is that of the accuracy
    best, measured = content.runs[0], [run.metrics for run in content.runs]
    made = {"made on": ("", [run.made or "this computer" for run in content.runs])}
    made = made if any(run.made for run in content.runs) else {}
    also = {} if metric is ACCURACY else {"accuracy": (".4f", [each["cv_accuracy"] for each in measured])}
    result.sentences.append(
        f"{best.name} comes first with a CV {metric.title} of {scores[0].value:.4f}; {len(near)} of {len(measured)} "
        f"runs, itself included, are within one standard error of it. CV {metric.title} is measured out of fold (OOF): "
        "each image is predicted by a model that was not trained on its fold. Runs are ordered by their "
        f"{metric.title} on the images that all of them predict, because some folds are easier than others. sd: "
        f"standard deviation {'of the accuracy ' if also else ''}over the folds. Log loss: mean of -log(probability of "
        "the true class), lower is better. Refits: fits on all labelled "
        "images. Choose a run to see its params, learning curves, confusions and errors."
    )
    columns = {
        "model": ("", [run.name for run in content.runs]),
        "kind": ("", [run.spec.model["kind"] for run in content.runs]),
        f"CV {metric.title}": (".4f", [score.value for score in scores]),
        "95 % from": (".4f", [score.low for score in scores]),
        "to": (".4f", [score.high for score in scores]),
        **also,
        "sd": (".4f", [each["cv_sd"] if each["folds"] > 1 else None for each in measured]),  # one fold has none
        "log loss": (".4f", [each["log_loss"] for each in measured]),
        "folds": ("d", [each["folds"] for each in measured]),
        "refits": ("d", [run.refits for run in content.runs]),
        "minutes": (".1f", [run.minutes for run in content.runs]),
        "MB": (".1f", [each["size_mb"] for each in measured]),
        **made,
        "near the best": ("", ["yes" if run.folder in near else "" for run in content.runs]),
    }
    if content.compared:
        result.sentences.append(Markup('<a href="{0}">{0}</a> compares two of them.').format(COMPARISON))
    result.tables.append(Table("Runs", columns))
    if len(content.runs) > 1:
        result.add_chart(score_by_time_chart(content.runs, [score.value for score in scores], metric))
    return result


def score_by_time_chart(runs: Sequence[Run], values: Sequence[float], metric: Metric) -> Figure:
    """CV score against minutes, with the Pareto front: runs that no other run beats in both. values: one per run."""
    value_of = {run.folder: value for run, value in zip(runs, values, strict=True)}
    ordered = sorted(runs, key=lambda run: (run.minutes, -metric.sign * value_of[run.folder]))
    front: list[Run] = []
    for run in ordered:
        if not front or metric.sign * (value_of[run.folder] - value_of[front[-1].folder]) > 0:
            front.append(run)
    better = "more accurate" if metric is ACCURACY else f"better by its {metric.title}"
    title = f"For {len(front)} of {len(runs)} runs, no other run is both faster and {better}"
    text = "; ".join(
        f"{run.name}: {value_of[run.folder]:.4f} in {run.minutes:.1f} minutes, {run.metrics['folds']} folds"
        for run in ordered
    )
    margin = 0.05 * (max(values) - min(values)) + 0.0005
    with subplots(7, 4) as (figure, ((axes,),)):
        for networks, marker, label in ((True, "o", "Keras network"), (False, "s", "scikit-learn model")):
            own = [run for run in runs if run.is_network == networks]
            axes.plot([run.minutes for run in own], [value_of[run.folder] for run in own], marker, label=label)
        axes.step(
            [run.minutes for run in front],
            [value_of[run.folder] for run in front],
            where="post",
            color=GREY,
            label="best for its time",
        )
        axes.set(
            xscale="log",
            xlabel="minutes of one fit",
            ylabel=f"CV {metric.title}",
            ylim=(min(values) - margin, max(values) + margin),
        )
        plain_log(axes.xaxis)
        axes.grid(visible=True)
        axes.legend()
        return as_chart(figure, "accuracy-by-time", title, text)
