"""How a drawing becomes an image like those of the competition, measured on its training images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FAINT = 32  # of 255; less is no ink
_BLANK = 0.99  # share of the border's pixels that have no ink in images that are centred
_OFF = 0.06  # share of the side by which the centre of mass of such images is off at most, in the mean


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
    ink = (images if light else 255 - images).astype(np.float32)
    mass = np.maximum(ink.sum(axis=(1, 2)), 1)
    # pixel 0 reaches from 0 to 1, so its centre is at 0.5
    rows = ink.sum(axis=2) @ (np.arange(height) + 0.5) / mass
    columns = ink.sum(axis=1) @ (np.arange(width) + 0.5) / mass
    off = np.hypot(rows / height - 0.5, columns / width - 0.5).mean()
    inked = ink > _FAINT
    sides = np.maximum(inked.any(axis=2).sum(axis=1), inked.any(axis=1).sum(axis=1))
    # a line of length l and width w has the area l * w and the contour 2 * l; the contour is the sum of all gradients
    down, right = np.diff(ink, axis=1)[:, :, :-1], np.diff(ink, axis=2)[:, :-1]
    stroke = 2 * float(ink.sum() / max(1.0, float(np.hypot(down, right).sum())))
    side = min(height, width)
    return Framing(
        light=light,
        centred=bool((ink[:, ring] <= _FAINT).mean() >= _BLANK and off <= _OFF),
        box=float(np.median(sides)),
        centre=(float(np.median(rows)), float(np.median(columns))),
        stroke=float(np.clip(stroke, side / 20, side / 6)),
    )
