"""Grids of the competition's images, as PNG."""

import base64
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from digits.common.plots import as_png, draw_images, drawing
from digits.data.dataset import Dataset
from digits.ensemble.disagreement import most_confident_errors

_COLUMNS = 8
_EXAMPLES = 5  # of each class


def worst_errors(
    data: Dataset, rows: NDArray[np.int64], probabilities: NDArray[np.floating], names: Sequence[str], count: int = 32
) -> tuple[str, str] | None:
    """The most confident errors as an image, and in words; None where there is no error.

    rows: labelled images, (n,); probabilities: of them, out of fold, (n, classes); names: of the classes.
    """
    labels, predicted = np.asarray(data.labels)[rows], probabilities.argmax(axis=1)
    errors = most_confident_errors(probabilities, labels, count)
    if not len(errors):
        return None
    words = [
        f"{names[labels[index]]} taken for {names[predicted[index]]}, {probabilities[index].max():.1%}"
        for index in errors
    ]
    titles = [text.replace(" taken for ", " → ").replace(", ", "\n") for text in words]
    return _grid(data, rows[errors], titles), "; ".join(words)


def examples(data: Dataset, names: Sequence[str]) -> tuple[str, str]:
    """Some images of each class as an image, and what they are in words."""
    labels = np.asarray(data.labels)
    rows = np.concatenate([np.flatnonzero(labels == label)[:_EXAMPLES] for label in range(len(names))])
    image = _grid(data, rows, [names[labels[row]] for row in rows], columns=2 * _EXAMPLES)
    return image, f"The first {_EXAMPLES} images of each class: {', '.join(names)}"


def embedded(png: bytes) -> str:
    """A PNG as an address that contains it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _grid(data: Dataset, rows: NDArray[np.int64], titles: Sequence[str], columns: int = _COLUMNS) -> str:
    with drawing():
        figure = plt.figure(figsize=(0.95 * columns, 1.25 * -(-len(rows) // columns)))
        draw_images(figure, data.images[rows].reshape(-1, *data.image_shape), titles, columns)
        figure.tight_layout(pad=0.3)
        return embedded(as_png(figure, dpi=100))
