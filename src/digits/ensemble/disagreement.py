"""The test images that the models disagree on, and the most confident errors on labelled ones, as a picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from digits.data.dataset import Dataset
from digits.ensemble.blend import BlendPredictions
from digits.ensemble.selection import Selection

SHOWN = 32  # images of each kind
_COLUMNS = 8


def disagreement(models: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much models differ on each image, (n,), in nats, 0 where all agree; models: (models, n, classes).

    The Jensen-Shannon divergence: the entropy of their mean minus the mean of their entropies (J. Lin, 1991, IEEE
    Transactions on information theory 37, p. 145).
    """
    of_each = _entropy(models.astype(np.float64))
    divergence: NDArray[np.float64] = _entropy(models.mean(axis=0, dtype=np.float64)) - of_each.mean(axis=0)
    return divergence


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)
    return total


def most_disagreed(selection: Selection, predictions: BlendPredictions, count: int) -> NDArray[np.int64]:
    """Indices of the test images on which the models of all members disagree most, (count,), in descending order.

    For a single model, which cannot disagree: the images that it is least confident of.
    """
    models = np.concatenate([member.test for member in selection.members])
    doubt = disagreement(models) if len(models) > 1 else 1 - predictions.test.max(axis=1)
    return np.argsort(-doubt, kind="stable")[:count]


def most_confident_errors(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Indices of the images that are predicted wrongly, most confident first, at most `count`.

    probabilities: (n, classes), out of fold; labels: (n,). The label of such an image is often wrong itself.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:count]


def draw_uncertain(data: Dataset, names: Sequence[str], selection: Selection, predictions: BlendPredictions) -> bytes:
    """A PNG: above, test images that the models disagree on; below, the most confident errors on labelled images.

    names: of the classes.
    """
    # a finished blend does not need Matplotlib
    from matplotlib import pyplot as plt  # noqa: PLC0415

    from digits.common.plots import as_png, draw_images, drawing  # noqa: PLC0415

    rows, oof, test = selection.members[0].rows, selection.oof, predictions.test
    labels = np.asarray(data.labels)[rows]
    disagreed = most_disagreed(selection, predictions, SHOWN)
    errors = most_confident_errors(oof, labels, SHOWN)
    total = int((oof.argmax(axis=1) != labels).sum())

    def test_title(index: int) -> str:
        likely = " ".join(f"{names[label]} {test[index, label]:.0%}" for label in np.argsort(-test[index])[:2])
        return f"{data.test_ids[index]}\n{likely}"

    def error_title(index: int) -> str:
        predicted = int(oof[index].argmax())
        wrongly = f"{names[labels[index]]}, seen as {names[predicted]} {oof[index, predicted]:.0%}"
        return f"row {rows[index] + 2}\n{wrongly}"  # row number in the file, which begins with a header

    parts = (
        (
            "Test images on which the models disagree most: image id, the two most probable classes",
            data.test_images[disagreed],
            [*map(test_title, disagreed)],
        ),
        (
            f"The most confident errors on labelled images, {len(errors)} of {total} (out of fold): "
            "row in the file, label, prediction and its probability",
            data.images[rows[errors]],
            [*map(error_title, errors)],
        ),
    )
    heights = [max(1, -(-len(titles) // _COLUMNS)) for _, _, titles in parts]
    with drawing():
        figure = plt.figure(figsize=(1.35 * _COLUMNS, 1.6 * sum(heights) + 1.2), layout="constrained")
        halves = figure.subfigures(2, 1, squeeze=False, height_ratios=[height + 0.45 for height in heights]).flat
        for half, (title, images, titles) in zip(halves, parts, strict=True):
            draw_images(half, data.shaped(images), titles, _COLUMNS)
            half.suptitle(title)
        return as_png(figure, dpi=90)
