"""The labels that a blend gives to new images, and a picture of those that it is least sure of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.ensemble.application import BlendOutput

SHOWN = 40  # images in the picture
_COLUMNS = 8
_LONGEST = 20  # characters of an id in the picture


def labelled(output: BlendOutput, values: Sequence[int | str], label: str) -> pd.DataFrame:
    """A row per image: its most probable class and the second one, with their probabilities, and whether models differ.

    values: of the classes. label: name of the first column. `disagree` is yes where the models of the blend do not
    predict the same class, else empty.
    """
    rows, order = np.arange(len(output.blended)), np.argsort(-output.blended, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    predicted = output.models.argmax(axis=2)
    return pd.DataFrame(
        {
            label: [values[number] for number in first],
            "probability": output.blended[rows, first],
            "second": [values[number] for number in second],
            "second_probability": output.blended[rows, second],
            "disagree": np.where((predicted == predicted[0]).all(axis=0), "", "yes"),
        }
    )


def draw_least_sure(
    images: NDArray[np.uint8], ids: Sequence[object], blended: NDArray[np.float64], names: Sequence[str]
) -> bytes:
    """A PNG of the images whose most probable class is least probable, the least one first.

    images: (n, height, width, channels). ids: (n,). blended: probabilities, (n, classes). names: of the classes.
    """
    from matplotlib import pyplot as plt  # noqa: PLC0415 - takes a second

    from digits.common.plots import as_png, draw_images, drawing  # noqa: PLC0415

    shown = np.argsort(blended.max(axis=1), kind="stable")[:SHOWN]

    def title(index: int) -> str:
        likely = " ".join(f"{names[number]} {blended[index, number]:.0%}" for number in np.argsort(-blended[index])[:2])
        text = str(ids[index])
        return f"{text if len(text) <= _LONGEST else '…' + text[1 - _LONGEST :]}\n{likely}"

    with drawing():
        figure = plt.figure(figsize=(1.35 * _COLUMNS, 1.6 * -(-len(shown) // _COLUMNS) + 0.5), layout="constrained")
        draw_images(figure, images[shown], [title(index) for index in shown], _COLUMNS)
        figure.suptitle("The images that the blend is least sure of: id, the two most probable classes")
        return as_png(figure, dpi=90)
