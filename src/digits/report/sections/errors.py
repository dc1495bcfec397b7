"""Which images the blend predicts wrongly out of fold, and how well it is calibrated."""

import altair as alt
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from digits.ensemble.disagreement import most_confident_errors
from digits.evaluation.reliability import Reliability, reliability
from digits.report.chart import GREY, ONE, by_class, chart, near, rows_of
from digits.report.gather import Content
from digits.report.layout import Column, Figure, Section, Table

_PAIRS = 10  # of classes, in words
_WORST = 32  # errors


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
    if wrong:
        worst, calibration = worst_errors(content, _WORST), reliability_diagram(reliability(oof, labels))
        result.figures += filter(None, (error_rates(counts, names), worst, calibration))
    return result


def worst_errors(content: Content, count: int) -> Figure | None:
    """The blend's most confident errors, which explore.js shows; None without a blend, and if there is no error."""
    if content.predictions is None or content.data is None:
        return None
    names, rows, oof = content.data.class_names, content.predictions.rows, content.predictions.oof
    labels = np.asarray(content.data.labels, np.int64)[rows]
    worst = most_confident_errors(oof, labels, count)
    said = [f"{names[labels[row]]} predicted as {names[oof[row].argmax()]}, {oof[row].max():.1%}" for row in worst]
    title = "The most confident errors; some labels may be wrong. Choose one to see what each run says of it"
    return Figure(title, _explored("errors", "; ".join(said), count)) if said else None


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
    return Figure(title, _explored("confusion", text))


def _explored(part: str, text: str, count: int = 0) -> Markup:
    """What explore.js replaces by a part that can be clicked; text: what a browser without scripts shows."""
    holder = '<div class="explore" data-explore="{}" data-count="{}">{}</div>'
    return Markup(holder).format(part, count, text)


def error_rates(counts: NDArray[np.int64], names: list[str]) -> Figure:
    """Share of errors by true class; counts: (true classes, predicted classes)."""
    totals = counts.sum(axis=1)
    shares = 1 - np.where(totals > 0, counts.diagonal() / np.maximum(1, totals), 1.0)
    worst = int(shares.argmax())
    title = f"{names[worst]} is the hardest class: {1 - shares[worst]:.2%} of its images are predicted correctly"
    return by_class(title, names, shares.tolist(), "share of errors", ".2%")


def reliability_diagram(bins: Reliability) -> Figure:
    """Accuracy against confidence."""
    sense = "underconfident" if (bins.accuracy - bins.confidence).mean() > 0 else "overconfident"
    title = f"Calibration: predictions are {sense}, by {bins.ece:.4f} on average (expected calibration error)"
    known = {"mean probability": bins.confidence, "accuracy": bins.accuracy}
    columns: dict[str, Column] = {name: (".4f", values.tolist()) for name, values in known.items()}
    columns["images"] = (",d", bins.count.tolist())
    table = Table("Tenths of the images, the least confident first", columns)
    base, tips = rows_of(table)
    x = alt.X("mean probability:Q").title("mean probability of the predicted class").scale(zero=False)
    axes, low = (x, alt.Y("accuracy:Q").scale(zero=False)), float(min(bins.confidence.min(), bins.accuracy.min()))
    ends = alt.Chart(alt.InlineData(values=[{"mean probability": end, "accuracy": end} for end in (low, 1)]))
    perfect = ends.mark_line(color=GREY, strokeDash=[4, 3]).encode(*axes)
    dots = base.mark_circle(color=ONE, opacity=1, size=50).encode(*axes, tooltip=tips).add_params(near())
    drawn = alt.layer(perfect, base.mark_line(color=ONE).encode(*axes), dots)
    return chart(f"{title}. Dashed: perfect calibration", drawn, 240, table)
