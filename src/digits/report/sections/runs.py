"""All runs with their scores, sizes and times, and which of them are the best for their time."""

from collections.abc import Sequence

import altair as alt
import numpy as np
from markupsafe import Markup

from digits.evaluation.scoring import ACCURACY, Metric
from digits.report.chart import GREY, chart, near, rows_of
from digits.report.gather import COMPARISON, Content, Run, near_best
from digits.report.layout import Column, Figure, Section, Table


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
        result.figures.append(score_by_time(content.runs, [score.value for score in scores], metric))
    return result


def score_by_time(runs: Sequence[Run], values: Sequence[float], metric: Metric) -> Figure:
    """CV score against minutes, with the Pareto front: runs that no other run beats in both. values: one per run."""
    ordered = sorted(zip(runs, values, strict=True), key=lambda each: (each[0].minutes, -metric.sign * each[1]))
    best = np.maximum.accumulate([metric.sign * value for _, value in ordered])
    front = [not place or best[place] > best[place - 1] for place in range(len(ordered))]
    better = "more accurate" if metric is ACCURACY else f"better by its {metric.title}"
    title = f"For {sum(front)} of {len(runs)} runs, no other run is both faster and {better}"
    score = f"CV {metric.title}"
    columns: dict[str, Column] = {
        "run": ("", [run.name for run, _ in ordered]),
        score: (".4f", [value for _, value in ordered]),
        "minutes of one fit": (".3g", [run.minutes for run, _ in ordered]),
        "kind": ("", ["Keras network" if run.is_network else "scikit-learn model" for run, _ in ordered]),
        "best for its time": ("", ["yes" if is_best else "no" for is_best in front]),
    }
    base, tips = rows_of(Table(title, columns))
    x = alt.X("minutes of one fit:Q").scale(type="log", nice=False, padding=10).axis(format="~g")
    axes, kind = (x, alt.Y(f"{score}:Q").scale(zero=False)), alt.Color("kind:N").legend(orient="top", title=None)
    steps = base.transform_filter("datum['best for its time'] == 'yes'")
    line = steps.mark_line(interpolate="step-after", color=GREY).encode(*axes)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(*axes, kind, alt.Shape("kind:N"), tooltip=tips)
    return chart(f"{title}: the line" if sum(front) > 1 else title, alt.layer(line, dots.add_params(near())), 260)
