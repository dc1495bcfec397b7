"""Which images the blend predicts wrongly out of fold, and how well it is calibrated."""

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from digits.common.plots import COLOURS
from digits.ensemble.disagreement import most_confident_errors
from digits.evaluation.reliability import Reliability, reliability
from digits.report.chart import GREY, as_chart, name_classes, subplots
from digits.report.gather import Content
from digits.report.layout import Figure, Section

_PAIRS = 10  # of classes, in words
_WORST = 32  # errors in words; explore.js shows as many


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
    result.figures.append(confusions(counts, names))
    result.add_chart(error_rates(counts, names))
    worst = most_confident_errors(oof, labels, _WORST)
    if len(worst):
        said = "; ".join(
            f"{names[labels[row]]} predicted as {names[predicted[row]]}, {oof[row].max():.1%}" for row in worst
        )
        title = "The most confident errors; some labels may be wrong. Choose one to see what each run says of it"
        result.figures.append(Figure(title, "", _explored("errors", said)))
    result.add_chart(reliability_diagram(reliability(oof, labels)))
    return result


def confusions(counts: NDArray[np.int64], names: list[str]) -> Figure:
    """The most frequent errors; explore.js makes a matrix of them. counts: (true classes, predicted classes)."""
    classes = len(names)
    wrong = counts - np.diag(counts.diagonal())
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
    return Figure(title, "", _explored("confusion", text))


def _explored(part: str, text: str) -> Markup:
    """What explore.js replaces by a part that can be clicked; text: what a browser without scripts shows."""
    return Markup('<div class="explore" data-explore="{}">{}</div>').format(part, text)


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
