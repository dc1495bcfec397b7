"""How a competition's drawings were prepared: the size and the place of the ink, measured on its images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ALIKE = 0.9  # share of the images that must be prepared in the same way; 0.99 of MNIST's have a black edge
_LOOKED_AT = 5000  # images; more would show the same


@dataclass(frozen=True)
class Ink:
    """Bright ink on black. longest: side of its box, in pixels. centre: where its centre of mass is, see `mass`."""

    longest: int
    centre: tuple[float, float]


def measured_ink(images: NDArray[np.uint8]) -> Ink | None:
    """How images, uint8 (n, height, width), were prepared; None if they are no ink of one size on black.

    In MNIST the longest side has 20 of 28 pixels and the centre of mass is in the middle (Y. LeCun et al., 1998,
    Gradient-based learning applied to document recognition, Proc. IEEE 86, section III-A).
    """
    some = images[:: -(-len(images) // _LOOKED_AT)]
    some = some[some.any(axis=(1, 2))]
    edges = some.copy()
    edges[:, 1:-1, 1:-1] = 0
    if not len(some) or edges.any(axis=(1, 2)).mean() > 1 - _ALIKE:
        return None
    sides = np.array([np.diff(box(image > 0), axis=0).max() for image in some])
    longest = int(np.median(sides))
    if np.mean(abs(sides - longest) <= 1) < _ALIKE:
        return None
    row, column = np.mean([mass(image) for image in some], axis=0).tolist()
    return Ink(longest, (row, column))


def box(ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The smallest box around ink, (height, width): its first row and column, and those behind its last, (2, 2)."""
    lines = [np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0)]
    return np.array([[line[0] for line in lines], [line[-1] + 1 for line in lines]])


def mass(image: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.float64]:
    """Centre of mass of an image, (height, width), as (row, column) in pixels from its upper left corner."""
    along = [image.sum(axis=axis, dtype=np.float64) for axis in (1, 0)]
    return np.array([(each @ (np.arange(len(each)) + 0.5)) / each.sum() for each in along])
