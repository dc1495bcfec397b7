"""How a drawing becomes an image like those of the competition, measured on its training images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.data.ink import measured_ink


@dataclass(frozen=True)
class Framing:
    """What drawings are made like.

    light: whether the ink is light on a dark ground. centred: whether the ink is scaled until its longest side is
    `box` pixels, and its centre of mass put at `centre` (down, right; pixels), as in MNIST (Y. LeCun et al., 1998,
    Gradient-based learning applied to document recognition, section III-A); else the whole drawing is the image.
    stroke: width of a line, pixels.
    """

    light: bool
    centred: bool
    box: float
    centre: tuple[float, float]
    stroke: float


def framing(images: NDArray[np.uint8]) -> Framing:
    """The framing of grey training images, uint8 (n, height, width)."""
    _, height, width = images.shape
    ring = np.ones((height, width), bool)
    ring[1:-1, 1:-1] = False
    light = bool(np.median(images[:, ring]) < 128)
    bright = images if light else 255 - images
    prepared = measured_ink(bright)
    # a line of length l and width w has the area l * w and the contour 2 * l; the contour is the sum of all gradients
    ink = bright.astype(np.float32)
    down, right = np.diff(ink, axis=1)[:, :, :-1], np.diff(ink, axis=2)[:, :-1]
    stroke = 2 * float(ink.sum() / max(1.0, float(np.hypot(down, right).sum())))
    side = min(height, width)
    return Framing(
        light=light,
        centred=prepared is not None,
        box=prepared.longest if prepared else side,
        centre=prepared.centre if prepared else (height / 2, width / 2),
        stroke=float(np.clip(stroke, side / 20, side / 6)),
    )
