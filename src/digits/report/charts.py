"""Pictures of the page, as SVG that takes the page's colours, each with a title that says what it shows."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from digits.common.plots import COLOURS, drawing
from digits.data.dataset import Dataset
from digits.ensemble.blend import Blend
from digits.evaluation.reliability import Reliability
from digits.kaggle.ledger import Line
from digits.report.gather import Run

_INK = "#010203"  # in place of the page's own colour of text
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "digits",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": "#888888",
    "grid.alpha": 0.35,
    "legend.framealpha": 0.0,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_SHOWN_MEMBERS = 15


@dataclass(frozen=True)
class Chart:
    """title: what it shows, in words. text: what a reader hears who cannot see it. svg: to stand in a page."""

    title: str
    text: str
    svg: str


@contextmanager
def _drawing(width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, Any]]:
    """Axes, (rows, columns), of a figure of so many inches."""
    with drawing(_STYLE):
        yield plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def _svg(figure: Figure, name: str) -> str:
    """The figure's SVG, with ids that begin with `name`, so that several may stand in one page."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\1{name}-", text)
    return text.replace(_INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def standing(submissions: Sequence[Line], blend: Blend | None) -> Chart | None:
    """Estimates with their intervals, and scores, on one axis."""
    rows = [
        (
            line["file"],
            float(line["expected"]),
            float(line["expected_low"]),
            float(line["expected_high"]),
            line["public_score"],
        )
        for line in submissions
    ]
    if not rows and blend:
        rows = [(blend.name, blend.expected.value, blend.expected.low, blend.expected.high, "")]
    if not rows:
        return None
    scored = [row for row in rows if row[4]]
    inside = sum(row[2] <= float(row[4]) <= row[3] for row in scored)
    title = (
        f"{inside} of {len(scored)} scores lie inside the interval that was expected"
        if scored
        else f"The best so far is expected to score {max(row[1] for row in rows):.4f}"
    )
    with _drawing(7, 1.1 + 0.32 * len(rows)) as (figure, ((axes,),)):
        places = np.arange(len(rows))[::-1]
        for place, (_, value, low, high, score) in zip(places, rows, strict=True):
            axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=3, alpha=0.5, solid_capstyle="butt")
            axes.plot(value, place, "o", color=COLOURS[0])
            if score:
                axes.plot(float(score), place, "D", color=COLOURS[1])
        axes.plot([], [], "o-", color=COLOURS[0], label="expected, 95 %")
        axes.plot([], [], "D", color=COLOURS[1], label="public score")
        axes.set_yticks(places, [name.removesuffix(".csv").rpartition("-")[2] for name, *_ in rows])
        axes.set(xlabel="accuracy on the test images", ylim=(-0.7, len(rows) - 0.3))
        axes.grid(visible=True, axis="x")
        figure.legend(loc="outside upper right", ncols=2)
        text = "; ".join(
            f"{name}: expected {value:.4f} ({low:.4f} to {high:.4f})" + (f", scored {score}" if score else "")
            for name, value, low, high, score in rows
        )
        return Chart(title, text, _svg(figure, "standing"))


def frontier(runs: Sequence[Run]) -> Chart | None:
    """Accuracy against time, with the line of runs that none beats in both."""
    if not runs:
        return None
    ordered = sorted(runs, key=lambda run: (run.minutes, -run.metrics["cv_accuracy"]))
    best: list[Run] = []
    for run in ordered:
        if not best or run.metrics["cv_accuracy"] > best[-1].metrics["cv_accuracy"]:
            best.append(run)
    with _drawing(7, 4) as (figure, ((axes,),)):
        for kind, marker in (("cnn", "o"), ("", "s")):
            own = [run for run in runs if (run.spec.model["kind"] == "cnn") == bool(kind)]
            axes.plot(
                [run.minutes for run in own],
                [run.metrics["cv_accuracy"] for run in own],
                marker,
                label="Keras network" if kind else "scikit-learn model",
            )
        axes.step(
            [run.minutes for run in best],
            [run.metrics["cv_accuracy"] for run in best],
            where="post",
            color="#888888",
            label="frontier",
        )
        found = [float(run.metrics["cv_accuracy"]) for run in runs]
        margin = 0.05 * (max(found) - min(found)) + 0.0005
        axes.set(
            xscale="log",
            xlabel="minutes of one fit",
            ylabel="CV accuracy",
            ylim=(min(found) - margin, max(found) + margin),
        )
        _plain(axes.xaxis)
        axes.grid(visible=True)
        axes.legend()
        text = "; ".join(
            f"{run.name}: {run.metrics['cv_accuracy']:.4f} in {run.minutes:.1f} minutes, {run.metrics['folds']} folds"
            for run in ordered
        )
        title = f"{len(best)} of {len(runs)} runs are beaten by none in both accuracy and time"
        return Chart(title, text, _svg(figure, "frontier"))


def learning(run: Run, name: str) -> Chart | None:
    """Loss, accuracy and learning rate of each fold of a run, epoch by epoch; name: of the chart in the page."""
    if not run.histories:
        return None
    last = run.histories[0][-1]
    with _drawing(7, 6.5, rows=3) as (figure, axes):
        for number, history in enumerate(run.histories):
            colour = COLOURS[number % len(COLOURS)]
            for part, (figure_name, where) in zip(
                axes[:2, 0], (("loss", "loss"), ("accuracy", "accuracy")), strict=True
            ):
                for prefix, style in (("", "-"), ("valid_", "o:")):
                    _epochs(part, history, f"{prefix}{figure_name}", style, colour)
                part.set(ylabel="loss, nats" if where == "loss" else "accuracy")
            _epochs(axes[2, 0], history, "learning_rate", "-", colour)
        for label, style in (("learned from", "-"), ("kept aside", "o:")):
            axes[0, 0].plot([], [], style, color="#888888", label=label)
        if len(run.histories) > 1:
            for number in range(len(run.histories)):
                axes[0, 0].plot([], [], "-", color=COLOURS[number % len(COLOURS)], label=f"fold {number + 1}")
        axes[0, 0].set(yscale="log")
        _plain(axes[0, 0].yaxis)
        figure.legend(loc="outside upper center", ncols=4)
        axes[2, 0].set(xlabel="epoch", ylabel="learning rate")
        for part in axes.flat:
            part.grid(visible=True)
            part.xaxis.set_major_locator(MaxNLocator(integer=True))
        kept = f", {last['valid_accuracy']:.4f} on images kept aside" if "valid_accuracy" in last else ""
        title = f"{run.name}: {len(run.histories[0])} epochs end at {last['accuracy']:.4f} on images learned from{kept}"
        return Chart(title, f"{title}; first fold of {len(run.histories)}", _svg(figure, name))


def _plain(axis: Axis) -> None:
    """A logarithmic axis has 1, 2 and 5 of each power of ten, written as people do."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _epochs(axes: Axes, history: list[dict[str, float]], name: str, style: str, colour: str) -> None:
    found = [(epoch, record[name]) for epoch, record in enumerate(history, 1) if name in record]
    if found:
        axes.plot(*zip(*found, strict=True), style, color=colour, markersize=3, linewidth=1.2)


def confusion(predicted: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]) -> Chart:
    """Which class is taken for which, as counts and shares of the true class; the colours are of errors alone."""
    classes = len(names)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predicted), 1)
    wrong = counts * (1 - np.eye(classes, dtype=int))
    true, seen = divmod(int(wrong.argmax()), classes)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    errors = shares * (1 - np.eye(classes))
    with _drawing(7, 6) as (figure, ((axes,),)):
        axes.imshow(errors, cmap="Oranges", vmin=0, vmax=1.3 * errors.max() or 1)
        for row, column in zip(*counts.nonzero(), strict=True):
            shown = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
            axes.text(column, row, shown, ha="center", va="center", fontsize=7, color="#222222")
        axes.set_xticks(range(classes), names, rotation=45 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(range(classes), names)
        axes.set(xlabel="predicted class", ylabel="true class")
        title = (
            f"{names[true]} is taken for {names[seen]} most often, {wrong[true, seen]} times"
            if wrong.any()
            else "No image is taken for another"
        )
        pairs = sorted(
            ((int(wrong[i, j]), names[i], names[j]) for i in range(classes) for j in range(classes)), reverse=True
        )
        text = "; ".join(f"{was} as {taken}: {count}" for count, was, taken in pairs[:10] if count)
        return Chart(title, text or title, _svg(figure, "confusion"))


def per_class(predicted: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]) -> Chart:
    """Accuracy of each class."""
    found = [
        float((predicted[labels == each] == each).mean()) if (labels == each).any() else 1.0
        for each in range(len(names))
    ]
    worst = int(np.argmin(found))
    title = f"{names[worst]} is the hardest, {found[worst]:.2%} right" if min(found) < 1 else "All are right"
    with _drawing(7, 3) as (figure, ((axes,),)):
        axes.plot(range(len(names)), [1 - value for value in found], "o", markersize=8)
        axes.vlines(range(len(names)), 0, [1 - value for value in found], color=COLOURS[0])
        axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0)
        axes.set(xlabel="true class", ylabel="share that is wrong", ylim=(0, None))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        axes.grid(visible=True, axis="y")
        text = "; ".join(f"{name}: {value:.4f} right" for name, value in zip(names, found, strict=True))
        return Chart(title, text, _svg(figure, "per-class"))


def calibration(found: Reliability) -> Chart:
    """How often predictions are right, by how sure they are."""
    with _drawing(7, 4) as (figure, ((axes,),)):
        low = float(min(found.confidence.min(), found.right.min())) - 0.02
        axes.plot([low, 1], [low, 1], color="#888888", linestyle="--", label="as sure as right")
        axes.plot(found.confidence, found.right, "o-", label="a tenth of the images each")
        axes.set(xlabel="mean probability of the predicted class", ylabel="share that is right")
        axes.grid(visible=True)
        axes.legend()
        sense = "less sure than right" if (found.right - found.confidence).mean() > 0 else "surer than right"
        title = f"Predictions are {sense}, by {found.error:.4f} on average (expected calibration error)"
        pairs = zip(found.confidence, found.right, strict=True)
        text = "; ".join(f"sure {confidence:.4f}, right {right:.4f}" for confidence, right in pairs)
        return Chart(title, text, _svg(figure, "calibration"))


def members(blend: Blend, names: dict[str, str]) -> Chart | None:
    """Gain and weight of each member, those that add most first. names: for people, by run folder."""
    gains = {contribution: contribution.gain for contribution in blend.members if contribution.gain is not None}
    rows = sorted(gains, key=lambda contribution: -gains[contribution])[:_SHOWN_MEMBERS]
    if not rows:
        return None
    shown = [names.get(contribution.member, contribution.member) for contribution in rows]
    places = np.arange(len(rows))[::-1]
    with _drawing(7, 1.2 + 0.35 * len(rows), columns=2) as (figure, ((left, right),)):
        left.barh(places, [contribution.weight or 0.0 for contribution in rows])
        left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        left.set(xlabel="weight")
        left.set_yticks(places, [name[:28] for name in shown])
        right.errorbar(
            [gains[contribution] for contribution in rows],
            places,
            xerr=[contribution.error for contribution in rows],
            fmt="o",
        )
        right.axvline(0, color="#888888", linewidth=1)
        right.set(xlabel="gain in accuracy, one standard error")
        right.xaxis.set_major_locator(MaxNLocator(4))
        right.set_yticks(places, [""] * len(rows))
        text = "; ".join(
            f"{name}: gain {gains[contribution]:+.5f}" for name, contribution in zip(shown, rows, strict=True)
        )
        most = gains[rows[0]]
        title = f"{shown[0]} adds most to the blend, {most:+.4f}"
        if most <= 0:
            title = "No single member adds to the blend what the others have not"
        return Chart(title, text, _svg(figure, "members"))


def class_counts(data: Dataset, names: Sequence[str]) -> Chart:
    """How many labelled images there are of each class."""
    counts = np.bincount(np.asarray(data.labels), minlength=len(names))
    with _drawing(7, 3) as (figure, ((axes,),)):
        axes.bar(range(len(names)), counts)
        axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0)
        axes.set(xlabel="class", ylabel="labelled images")
        axes.grid(visible=True, axis="y")
        few, many = int(counts.argmin()), int(counts.argmax())
        title = f"From {counts[few]:,} images of {names[few]} to {counts[many]:,} of {names[many]}"
        text = "; ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True))
        return Chart(title, text, _svg(figure, "classes"))
