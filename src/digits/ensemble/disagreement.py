"""The images that a blend is least sure of, and those that it gets wrong, as a picture."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits.data.dataset import Dataset
from digits.ensemble.blend import Blended
from digits.ensemble.selection import Selection

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

SHOWN = 32  # images of each sort
_COLUMNS = 8


def disagreement(models: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far models differ on each image, in nats, 0 where they say the same; models: (models, n, classes).

    The entropy of their mean less the mean of their entropies: the divergence of Jensen and Shannon (J. Lin, 1991, IEEE
    Transactions on information theory 37, p. 145).
    """
    of_each = _entropy(models.astype(np.float64))
    found: NDArray[np.float64] = _entropy(models.mean(axis=0, dtype=np.float64)) - of_each.mean(axis=0)
    return found


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)
    return total


def most_disputed(selected: Selection, blended: Blended, count: int) -> NDArray[np.int64]:
    """Places of the test images on which the models of all members differ most, (count,), most disputed first.

    A single model disputes nothing: then those of which it is least sure.
    """
    models = np.concatenate([member.test for member in selected.members])
    doubt = disagreement(models) if len(models) > 1 else 1 - blended.test.max(axis=1)
    return np.argsort(-doubt, kind="stable")[:count]


def surest_errors(selected: Selection, labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places among the members' rows that are predicted wrongly out of fold, surest first, at most `count`.

    labels: (n,), of those rows. What a blend is sure of against the label is likely to be labelled wrongly.
    """
    predicted, sure = selected.oof.argmax(axis=1), selected.oof.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-sure[wrong], kind="stable")][:count]


def draw_uncertain(data: Dataset, names: Sequence[str], selected: Selection, blended: Blended) -> bytes:
    """A PNG with the most disputed test images above, and the surest errors on labelled ones below."""
    # what is blended already need not wait for them
    from matplotlib import pyplot as plt  # noqa: PLC0415

    from digits.common.plots import as_png, drawing  # noqa: PLC0415

    rows = selected.members[0].rows
    labels = np.asarray(data.labels)[rows]
    disputed, errors = most_disputed(selected, blended, SHOWN), surest_errors(selected, labels, SHOWN)

    def test_title(place: int) -> str:
        first, second = np.argsort(-blended.test[place])[:2]
        likely = " ".join(f"{names[one]} {blended.test[place, one]:.0%}" for one in (first, second))
        return f"{data.test_ids[place]}\n{likely}"

    def error_title(place: int) -> str:
        seen = int(selected.oof[place].argmax())
        return f"row {rows[place] + 2}\n{names[labels[place]]}, seen as {names[seen]} {selected.oof[place, seen]:.0%}"

    heights = [max(1, -(-len(part) // _COLUMNS)) for part in (disputed, errors)]
    total = int((selected.oof.argmax(axis=1) != labels).sum())
    with drawing():
        figure = plt.figure(figsize=(1.35 * _COLUMNS, 1.6 * sum(heights) + 1.2), layout="constrained")
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[height + 0.45 for height in heights]).flat
        _draw(upper, data.test_images, disputed, test_title, data.image_shape)
        _draw(
            lower, data.images, rows[errors], lambda row: error_title(int(np.searchsorted(rows, row))), data.image_shape
        )
        upper.suptitle("Test images on which the models differ most: id, the two likeliest classes")
        lower.suptitle(
            f"Labelled images that are predicted wrongly out of fold, the surest {len(errors)} of {total}: "
            "row of the file, label, prediction"
        )
        return as_png(figure, dpi=90)


def _draw(
    figure: "SubFigure",
    images: NDArray[np.uint8],
    places: NDArray[np.int64],
    title: Callable[[int], str],
    shape: tuple[int, int],
) -> None:
    axes = figure.subplots(max(1, -(-len(places) // _COLUMNS)), _COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, place in zip(axes.flat, places, strict=False):
        axis.imshow(images[place].reshape(shape), cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(title(int(place)), fontsize=7)
