"""Makes of a picture what a competition's images are."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from digits.data.ink import Ink, box, mass

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's, by the number of channels
_LARGEST = 512  # pixels of a side that is looked at; a stroke of a digit of a tenth of it is still several pixels wide
_BYTE = 255
_WIDEST = 4  # a stroke is narrower than a quarter of the picture, and a shadow is wider
_FAINTEST = 25  # brightness between paper and ink
_SPECK = 0.05  # of the largest stroke's pixels; dust and grain are smaller, and the strokes of a digit larger
_THIN = 2.5  # pixels; the strokes of MNIST are 2.7 wide on average, and thinner ones would be grey


def to_pixels(picture: Image.Image, shape: tuple[int, int], channels: int, ink: Ink | None) -> NDArray[np.uint8]:
    """An image of the competition, (height * width * channels,), made of a picture of any size.

    shape: height and width. channels: 1, 3 or 4. ink: how the competition's images were prepared; None: the picture is
    only scaled. Raises ValueError if nothing is drawn on it.
    """
    upright = _eight_bits(ImageOps.exif_transpose(picture))
    image = upright.convert("RGBA") if channels == 4 else _opaque(upright).convert(_MODES[channels])
    if ink is None:
        return np.asarray(image.resize(shape[::-1], Image.Resampling.LANCZOS), np.uint8).reshape(-1)
    if image.size != shape[::-1]:
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BOX)
    grey = np.asarray(image, np.float32)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    white = np.median(edge) > (grey.min() + grey.max()) / 2  # paper
    bright = _BYTE - grey if white else grey
    if bright.shape == shape and bright.any() and not (edge - white * _BYTE).any():
        return bright.astype(np.uint8).reshape(-1)  # it was prepared already
    return _placed(_without_paper(bright), shape, ink).reshape(-1)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture with 8 bits per value; Pillow would cut off larger values."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, np.float64) / 257).clip(0, _BYTE).round().astype(np.uint8))


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture on white where it is transparent, or on black if what is drawn is light."""
    if not picture.has_transparency_data:
        return picture
    drawn = picture.convert("RGBA")
    weights = np.asarray(drawn.getchannel("A"), np.float64)
    light = weights.any() and np.average(np.asarray(drawn.convert("L")), weights=weights) > _BYTE / 2
    return Image.alpha_composite(Image.new("RGBA", drawn.size, "black" if light else "white"), drawn)


def _without_paper(bright: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ink from 0, paper, to 1; bright: (height, width), ink brighter than paper.

    Shadows are larger than strokes, so the white top-hat transform removes them (F. Meyer, 1979, Journal of
    histochemistry and cytochemistry 27, p. 128). Raises ValueError if there is no ink.
    """
    high = ndimage.white_tophat(bright, size=max(3, max(bright.shape) // _WIDEST))
    level = np.median(high)
    floor = float(level + 3 * 1.48 * np.median(abs(high - level)))  # three standard deviations of the paper's grain
    above = high[high > floor]
    full = float(np.median(above[above > _otsu(above, floor)])) if len(above) else floor
    if full - floor < _FAINTEST:
        raise ValueError("nothing is drawn on it")
    parts, count = ndimage.label(high > (floor + full) / 2, np.ones((3, 3)))
    sizes = ndimage.sum_labels(np.ones_like(high), parts, range(1, count + 1))
    kept = np.isin(parts, 1 + np.flatnonzero(sizes >= _SPECK * sizes.max()))
    near = ndimage.maximum_filter(kept, 3)
    return np.where(near, ((high - floor) / (full - floor)).clip(0, 1), 0).astype(np.float32)


def _otsu(values: NDArray[np.float32], least: float) -> float:
    """The threshold with the largest variance between the two classes (N. Otsu, 1979, IEEE Trans. SMC 9, p. 62)."""
    counts, edges = np.histogram(values, 256, (least, values.max()))
    below, total = np.cumsum(counts), np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    rest = len(values) - below
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = below * rest * (total / below - (total[-1] - total) / rest) ** 2
    return float(edges[1 + np.nan_to_num(variance).argmax()])


def _placed(ink: NDArray[np.float32], shape: tuple[int, int], prepared: Ink) -> NDArray[np.uint8]:
    """Ink, (height, width), 0 to 1, scaled and moved to where the competition's images have it, with antialiasing."""
    full = np.pad(ink > 0.5, 1)
    scale = float(np.diff(box(full), axis=0).max()) / prepared.longest
    width = 4 * float(ndimage.distance_transform_edt(full)[full].mean())  # of a stroke
    padded = np.pad(ink, int(np.ceil(max(shape) * scale)))
    if (missing := round(_THIN * scale - width)) > 0:
        padded = ndimage.maximum_filter(padded, missing + 1)
        scale += missing / prepared.longest
    top, left = mass(padded) - scale * np.array(prepared.centre)
    window = (left, top, left + scale * shape[1], top + scale * shape[0])
    small = np.asarray(Image.fromarray(padded).resize(shape[::-1], Image.Resampling.BOX, box=window))
    values: NDArray[np.uint8] = np.rint(small * (_BYTE / small.max())).astype(np.uint8)
    return values
