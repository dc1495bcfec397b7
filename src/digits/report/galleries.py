"""Pictures made of the images themselves, as PNG."""

import base64
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from digits.common.plots import as_png, drawing
from digits.data.dataset import Dataset

_COLUMNS = 8
_EACH = 5  # examples of a class


def worst_errors(
    data: Dataset, rows: NDArray[np.int64], probabilities: NDArray[np.floating], names: Sequence[str], count: int = 32
) -> tuple[str, str] | None:
    """A picture of the errors that are made most surely, and the same in words; None where there is no error.

    rows: labelled images, (n,); probabilities: of them, out of fold, (n, classes).
    """
    labels, predicted = np.asarray(data.labels)[rows], probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        return None
    chosen = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:count]
    words = [
        f"{names[labels[each]]} taken for {names[predicted[each]]}, {probabilities[each].max():.1%}" for each in chosen
    ]
    titles = [text.replace(" taken for ", " → ").replace(", ", "\n") for text in words]
    return _grid(data, rows[chosen], titles), "; ".join(words)


def examples(data: Dataset, names: Sequence[str]) -> tuple[str, str]:
    """Some images of each class, and what they are in words."""
    labels = np.asarray(data.labels)
    rows = np.concatenate([np.flatnonzero(labels == each)[:_EACH] for each in range(len(names))])
    picture = _grid(data, rows, [names[labels[row]] for row in rows], columns=2 * _EACH)
    return picture, f"The first {_EACH} images of each class: {', '.join(names)}"


def embedded(png: bytes) -> str:
    """A PNG as an address that stands in a page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _grid(data: Dataset, rows: NDArray[np.int64], titles: Sequence[str], columns: int = _COLUMNS) -> str:
    lines = -(-len(rows) // columns)
    # black on white, so that it is read on a page of either colour
    with drawing():
        figure, axes = plt.subplots(lines, columns, figsize=(0.95 * columns, 1.25 * lines), squeeze=False)
        for place in axes.flat:
            place.set_axis_off()
        for place, row, title in zip(axes.flat, rows, titles, strict=False):
            place.imshow(np.asarray(data.images[row]).reshape(data.image_shape), cmap="gray_r", vmin=0, vmax=255)
            place.set_title(title, fontsize=7)
        figure.tight_layout(pad=0.3)
        return embedded(as_png(figure, dpi=100))
