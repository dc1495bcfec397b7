"""Which images the blend predicts wrongly out of fold, and how well it is calibrated."""

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from digits.common.plots import COLOURS
from digits.ensemble.disagreement import most_confident_errors
from digits.evaluation.reliability import Reliability, reliability
from digits.report.chart import GREY, as_chart, image_grid, name_classes, subplots
from digits.report.gather import Content
from digits.report.layout import Figure, Section

_PAIRS = 10  # of classes, in words
_WORST = 32  # errors that are shown


def section(content: Content) -> Section:
    """The confusion matrix, errors by class, the most confident errors, the reliability diagram."""
    result = Section("errors", "Which images are predicted wrongly?")
    if content.predictions is None or content.data is None:
        result.missing = "There is no blend of the current runs; type make ensemble."
        return result
    names, rows = content.data.class_names, content.predictions.rows
    labels, oof = np.asarray(content.data.labels, np.int64)[rows], content.predictions.oof
    predicted = oof.argmax(axis=1)
    wrong = int((predicted != labels).sum())
    result.sentences.append(f"Out of fold, the blend predicts {wrong:,} of {len(labels):,} images wrongly.")
    counts = np.zeros((len(names), len(names)), int)  # by true and predicted class
    np.add.at(counts, (labels, predicted), 1)
    result.add_chart(confusion_matrix(counts, names))
    result.add_chart(error_rates(counts, names))
    worst = most_confident_errors(oof, labels, _WORST)
    if len(worst):
        found = [(names[labels[row]], names[predicted[row]], f"{oof[row].max():.1%}") for row in worst]
        text = "; ".join(f"{true} predicted as {taken}, {confidence}" for true, taken, confidence in found)
        titles = [f"{true} → {taken}\n{confidence}" for true, taken, confidence in found]
        images = image_grid(content.data.shaped(content.data.images[rows[worst]]), titles, columns=8)
        result.add_image("The most confident errors (label → prediction); some labels may be wrong", text, images)
    result.add_chart(reliability_diagram(reliability(oof, labels)))
    return result


def confusion_matrix(counts: NDArray[np.int64], names: list[str]) -> Figure:
    """Counts and shares of the true class; only errors are coloured. counts: (true classes, predicted classes)."""
    classes = len(names)
    wrong = counts - np.diag(counts.diagonal())
    totals = np.maximum(1, counts.sum(axis=1, keepdims=True))
    shares, errors = counts / totals, wrong / totals
    true, taken = divmod(int(wrong.argmax()), classes)
    title = (
        f"The most frequent error: {wrong[true, taken]:,} of {counts[true].sum():,} images of {names[true]} are "
        f"predicted as {names[taken]}"
        if wrong.any()
        else "All images are predicted correctly"
    )
    pairs = sorted(
        ((int(wrong[i, j]), names[i], names[j]) for i in range(classes) for j in range(classes)), reverse=True
    )
    text = "; ".join(f"{name} as {other}: {count}" for count, name, other in pairs[:_PAIRS] if count)
    with subplots(7, 6) as (figure, ((axes,),)):
        axes.imshow(errors, cmap="Oranges", vmin=0, vmax=1.3 * errors.max() or 1)
        for row, column in zip(*counts.nonzero(), strict=True):
            cell = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
            axes.text(column, row, cell, ha="center", va="center", fontsize=7, color="#222222")
        name_classes(axes, names)
        axes.set_yticks(range(classes), names)
        axes.set(xlabel="predicted class", ylabel="true class")
        return as_chart(figure, "confusion", title, text or title)


def error_rates(counts: NDArray[np.int64], names: list[str]) -> Figure:
    """Share of errors by true class; counts: (true classes, predicted classes)."""
    totals = counts.sum(axis=1)
    accuracies = np.where(totals > 0, counts.diagonal() / np.maximum(1, totals), 1.0)
    worst = int(accuracies.argmin())
    title = (
        f"{names[worst]} is the hardest class: {accuracies[worst]:.2%} of its images are predicted correctly"
        if accuracies[worst] < 1
        else "All classes are predicted correctly"
    )
    text = "; ".join(f"{name}: accuracy {value:.4f}" for name, value in zip(names, accuracies, strict=True))
    with subplots(7, 3) as (figure, ((axes,),)):
        axes.plot(range(len(names)), 1 - accuracies, "o", markersize=8)
        axes.vlines(range(len(names)), 0, 1 - accuracies, color=COLOURS[0])
        name_classes(axes, names)
        axes.set(xlabel="true class", ylabel="share of errors", ylim=(0, None))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        axes.grid(visible=True, axis="y")
        return as_chart(figure, "error-rates", title, text)


def reliability_diagram(bins: Reliability) -> Figure:
    """Accuracy against confidence."""
    sense = "underconfident" if (bins.accuracy - bins.confidence).mean() > 0 else "overconfident"
    title = f"Calibration: predictions are {sense}, by {bins.ece:.4f} on average (expected calibration error)"
    pairs = zip(bins.confidence, bins.accuracy, strict=True)
    text = "; ".join(f"confidence {confidence:.4f}, accuracy {accuracy:.4f}" for confidence, accuracy in pairs)
    with subplots(7, 4) as (figure, ((axes,),)):
        low = float(min(bins.confidence.min(), bins.accuracy.min())) - 0.02
        axes.plot([low, 1], [low, 1], color=GREY, linestyle="--", label="perfectly calibrated")
        axes.plot(bins.confidence, bins.accuracy, "o-", label="bins of a tenth of the images")
        axes.set(xlabel="mean probability of the predicted class", ylabel="accuracy")
        axes.grid(visible=True)
        axes.legend()
        return as_chart(figure, "reliability", title, text)
