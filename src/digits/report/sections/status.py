"""Where the competition stands: the best run, blend and score, the submissions, and what to do next."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from digits.common.plots import COLOURS
from digits.ensemble.blend import Blend
from digits.evaluation.scoring import Metric
from digits.kaggle.ledger import EXPECTED, Line, best_scored, verdict
from digits.report.chart import as_chart, subplots
from digits.report.gather import Content
from digits.report.layout import Column, Figure, Section, Table


def section(content: Content) -> Section:
    """Sentences, a chart of expected and public scores, and a table of submissions."""
    result = Section("status", "Where do I stand?")
    blend, lines, metric = content.blend, content.submissions, content.metric
    if content.runs:
        best = content.runs[0]
        folds = "1 fold" if best.metrics["folds"] == 1 else f"{best.metrics['folds']} folds"
        result.sentences.append(
            f"The best run, {best.name}, has a cross-validated (CV) {metric.title} of {content.score(best).value:.4f} "
            f"({folds}): {metric.title}{metric.direction} on images that its models were not trained on."
        )
    if blend:
        result.sentences.append(
            f"The largest blend (a combination of models) has a CV {metric.title} of {blend.cv} and an expected score "
            f"of {blend.expected}, both with their 95 % intervals."
        )
    if top := best_scored(lines, metric.sign):
        result.sentences.append(f"The best public score on Kaggle is {top['public_score']}, for {top['file']}.")
    result.sentences.append(f"What to do next: {next_step(content)}.")
    result.add_chart(scores_chart([line for line in lines if line["ref"]] or lines, blend, metric))
    if lines:
        columns: dict[str, Column] = {
            "time (UTC)": ("", [line["time"][:16].replace("T", " ") for line in lines]),
            "file": ("", [line["file"] for line in lines]),
            "expected score": (".4f", [float(line["expected"]) for line in lines]),
            "public score": ("", [line["public_score"] for line in lines]),
            "state": ("", [verdict(line).removeprefix("; ") or line["state"] for line in lines]),
        }
        result.tables.append(Table("Submissions", columns))
    return result


def next_step(content: Content) -> str:
    """The command to type next, as a sentence: the first one whose condition holds."""
    slug, lines = content.params.competition.slug, content.submissions
    practice = content.data is None or content.data.practice
    steps = [
        (practice, f"type make submit DATA=path/to/{slug}.zip, with the competition's files"),
        (not content.runs, "type make submit: it fits networks for five minutes and blends them"),
        (content.blend is None, "type make submit: there are runs, but no blend of them yet"),
        (
            any(line["state"] in ("uploading", "uploaded") for line in lines),
            "type make score: a submission waits for its score",
        ),
        (
            content.params.submit.upload and not any(line["ref"] for line in lines),
            "save a Kaggle token, if there is none yet, then type make submit: nothing was uploaded yet",
        ),
        (
            all(run.is_network for run in content.runs),
            "type make baseline, then make submit: models of another kind make different errors",
        ),
    ]
    minutes = max(30.0, 4 * content.budget)
    more_time = f"type make submit BUDGET={minutes:g}: more training time is now the surest way to improve"
    return next((step for applies, step in steps if applies), more_time)


def scores_chart(submissions: Sequence[Line], blend: Blend | None, metric: Metric) -> Figure | None:
    """Expected scores with their intervals, and public scores; without submissions, those of the blend."""
    rows: list[Any] = [
        (line["file"], *(float(line[name]) for name in EXPECTED), line["public_score"]) for line in submissions
    ]
    if not rows and blend:
        rows = [(blend.name, blend.expected.value, blend.expected.low, blend.expected.high, "")]
    if not rows:
        return None
    scored = [row for row in rows if row[4]]
    inside = sum(row[2] <= float(row[4]) <= row[3] for row in scored)
    title = (
        f"{inside} of {len(scored)} public scores lie inside the expected 95 % interval"
        if scored
        else f"The best expected score so far is {max(rows, key=lambda row: metric.sign * row[1])[1]:.4f}"
    )
    text = "; ".join(
        f"{name}: expected {value:.4f} ({low:.4f} to {high:.4f})" + (f", scored {score}" if score else "")
        for name, value, low, high, score in rows
    )
    with subplots(7, 1.1 + 0.32 * len(rows)) as (figure, ((axes,),)):
        places = np.arange(len(rows))[::-1]
        for place, (_, value, low, high, score) in zip(places, rows, strict=True):
            axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=3, alpha=0.5, solid_capstyle="butt")
            axes.plot(value, place, "o", color=COLOURS[0])
            if score:
                axes.plot(float(score), place, "D", color=COLOURS[1])
        axes.plot([], [], "o-", color=COLOURS[0], label="expected score, 95 % interval")
        axes.plot([], [], "D", color=COLOURS[1], label="public score")
        axes.set_yticks(places, [name.removesuffix(".csv").rpartition("-")[2] for name, *_ in rows])
        axes.set(xlabel=f"{metric.title} on the test images", ylim=(-0.7, len(rows) - 0.3))
        axes.grid(visible=True, axis="x")
        figure.legend(loc="outside upper right", ncols=2)
        return as_chart(figure, "scores", title, text)
