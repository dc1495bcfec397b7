"""All runs with their scores, sizes and times, and which of them are the best for their time."""

from collections.abc import Sequence

import numpy as np

from digits.report.chart import GREY, as_chart, plain_log, subplots
from digits.report.gather import Content, Run, near_best
from digits.report.layout import Figure, Section, Table

_COLUMNS = {
    "model": "",
    "kind": "",
    "CV accuracy": ".4f",
    "95 % from": ".4f",
    "to": ".4f",
    "sd": ".4f",
    "log loss": ".4f",
    "folds": "d",
    "refits": "d",
    "minutes": ".1f",
    "MB": ".1f",
    "near the best": "",
}


def section(content: Content) -> Section:
    """A table of the runs, and a chart of their accuracies against time."""
    result = Section("runs", "Which models were tried?")
    if not content.runs or content.data is None:
        result.missing = "No run (a cross-validated model) is finished; type make baseline or make train."
        return result
    near = near_best(content.runs, np.asarray(content.data.labels))
    rows = [
        (
            run.name,
            run.spec.model["kind"],
            *(run.metrics[name] for name in ("cv_accuracy", "cv_low", "cv_high")),
            run.metrics["cv_sd"] if run.metrics["folds"] > 1 else None,  # one fold has no standard deviation
            run.metrics["log_loss"],
            run.metrics["folds"],
            run.refits,
            run.minutes,
            run.metrics["size_mb"],
            "yes" if run.folder in near else "",
        )
        for run in content.runs
    ]
    best = content.runs[0]
    result.sentences.append(
        f"{best.name} comes first with a CV accuracy of {best.metrics['cv_accuracy']:.4f}; {len(near)} of {len(rows)} "
        "runs, itself included, are within one standard error of it. CV accuracy is measured out of fold (OOF): each "
        "image is predicted by a model that was not trained on its fold. Runs are ordered by their accuracy on the "
        "images that all of them predict, because some folds are easier than others. sd: standard deviation over the "
        "folds. Log loss: mean of -log(probability of the true class), lower is better. Refits: fits on all labelled "
        "images."
    )
    result.tables.append(Table("Runs", _COLUMNS, rows))
    result.add_chart(accuracy_by_time_chart(content.runs))
    return result


def accuracy_by_time_chart(runs: Sequence[Run]) -> Figure:
    """CV accuracy against minutes, with the Pareto front: runs that no other run beats in both."""
    ordered = sorted(runs, key=lambda run: (run.minutes, -run.metrics["cv_accuracy"]))
    front: list[Run] = []
    for run in ordered:
        if not front or run.metrics["cv_accuracy"] > front[-1].metrics["cv_accuracy"]:
            front.append(run)
    title = f"For {len(front)} of {len(runs)} runs, no other run is both faster and more accurate"
    text = "; ".join(
        f"{run.name}: {run.metrics['cv_accuracy']:.4f} in {run.minutes:.1f} minutes, {run.metrics['folds']} folds"
        for run in ordered
    )
    accuracies = [float(run.metrics["cv_accuracy"]) for run in runs]
    margin = 0.05 * (max(accuracies) - min(accuracies)) + 0.0005
    with subplots(7, 4) as (figure, ((axes,),)):
        for networks, marker, label in ((True, "o", "Keras network"), (False, "s", "scikit-learn model")):
            own = [run for run in runs if run.is_network == networks]
            axes.plot([run.minutes for run in own], [run.metrics["cv_accuracy"] for run in own], marker, label=label)
        axes.step(
            [run.minutes for run in front],
            [run.metrics["cv_accuracy"] for run in front],
            where="post",
            color=GREY,
            label="best for its time",
        )
        axes.set(
            xscale="log",
            xlabel="minutes of one fit",
            ylabel="CV accuracy",
            ylim=(min(accuracies) - margin, max(accuracies) + margin),
        )
        plain_log(axes.xaxis)
        axes.grid(visible=True)
        axes.legend()
        return as_chart(figure, "accuracy-by-time", title, text)
