"""Grids of the competition's images, as PNG."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from digits.common.plots import as_png, draw_images, drawing
from digits.data.dataset import Dataset
from digits.ensemble.disagreement import most_confident_errors
from digits.report.layout import embedded

_COLUMNS = 8
_EXAMPLES = 5  # of each class


def worst_errors(
    data: Dataset, rows: NDArray[np.int64], probabilities: NDArray[np.floating], names: Sequence[str], count: int = 32
) -> tuple[str, str] | None:
    """The most confident errors as an image, and in words; None if there is no error.

    rows: labelled images, (n,); probabilities: of them, out of fold, (n, classes); names: of the classes.
    """
    labels, predicted = np.asarray(data.labels)[rows], probabilities.argmax(axis=1)
    errors = most_confident_errors(probabilities, labels, count)
    if not len(errors):
        return None
    found = [(names[labels[index]], names[predicted[index]], f"{probabilities[index].max():.1%}") for index in errors]
    titles = [f"{true} → {taken}\n{confidence}" for true, taken, confidence in found]
    words = "; ".join(f"{true} predicted as {taken}, {confidence}" for true, taken, confidence in found)
    return _grid(data, rows[errors], titles), words


def examples(data: Dataset, names: Sequence[str]) -> tuple[str, str]:
    """Some images of each class as an image, and what they are in words."""
    labels = np.asarray(data.labels)
    rows = np.concatenate([np.flatnonzero(labels == label)[:_EXAMPLES] for label in range(len(names))])
    image = _grid(data, rows, [names[labels[row]] for row in rows], columns=2 * _EXAMPLES)
    return image, f"The first {_EXAMPLES} images of each class: {', '.join(names)}"


def _grid(data: Dataset, rows: NDArray[np.int64], titles: Sequence[str], columns: int = _COLUMNS) -> str:
    with drawing():
        figure = plt.figure(figsize=(0.95 * columns, 1.25 * -(-len(rows) // columns)), layout="constrained")
        draw_images(figure, data.shaped(data.images[rows]), titles, columns)
        return embedded(as_png(figure, dpi=100))
