"""Data augmentation with NumPy: one random affine map and one elastic displacement field per image."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from digits.models.warping import warp

_SIGMA = 4.0  # pixels; standard deviation of the Gaussian filter of elastic fields (Simard et al.)
_MIN_SINGULAR_VALUE = 0.03  # share of the filter's largest; the basis leaves out vectors below it


def augment_images(
    generator: np.random.Generator, images: NDArray[np.number], *, elastic: float, flip: bool, **affine: float
) -> NDArray[np.float32]:
    """Augmented copies of images, of any number type, as float32; 0 outside the frame.

    images: (n, height, width) or (n, height, width, channels). elastic: strength of `elastic_fields`. flip, affine: as
    in `affine_maps`.
    """
    shape = (images.shape[1], images.shape[2])
    maps = affine_maps(generator, len(images), shape, flip=flip, **affine)
    fields = elastic_fields(generator, len(images), shape, elastic) if elastic else None
    return warp(images, maps, fields)


def affine_maps(
    generator: np.random.Generator,
    count: int,
    image_shape: tuple[int, int],
    *,
    rotation: float,
    zoom: float,
    shear: float,
    shift: float,
    flip: bool,
) -> NDArray[np.float32]:
    """Draw `count` maps from output to input pixels, (count, 8) float32, as `warp` takes them.

    Each strength is drawn uniformly between minus and plus its value: `rotation` and `shear` in degrees, `zoom` as a
    share of the size, `shift` in pixels along each axis. The centre of the image moves by the shift alone; strengths of
    0 give the identity. flip: whether each image is first mirrored, left to right, with a probability of 1/2.
    """
    rotations, shears = generator.uniform(-1, 1, (2, count)) * [[rotation], [shear]]
    zooms = generator.uniform(-zoom, zoom, count)
    shifts_y, shifts_x = generator.uniform(-shift, shift, (2, count))
    maps = _to_maps(image_shape, (rotations, zooms, shears, shifts_y, shifts_x))
    return np.where(generator.random((count, 1)) < 0.5, _mirrored(maps, image_shape[1]), maps) if flip else maps


def _mirrored(maps: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Maps, (n, 8), of images that are mirrored left to right first: x of the input becomes width - 1 - x."""
    mirrored = maps.copy()
    mirrored[:, :3] *= -1
    mirrored[:, 2] += width - 1
    return mirrored


def transform_images(
    images: NDArray[np.number],
    *,
    rotation: float = 0.0,
    zoom: float = 0.0,
    shear: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
) -> NDArray[np.float32]:
    """All images, (n, height, width, ...), after the same affine transform, float32; 0 outside the frame.

    rotation and shear in degrees, zoom as a share of the size, shift in pixels down and right; flip: whether they are
    mirrored first, left to right.
    """
    parameters = [np.full(len(images), value) for value in (rotation, zoom, shear, -shift[0], -shift[1])]
    maps = _to_maps((images.shape[1], images.shape[2]), parameters)
    return warp(images, _mirrored(maps, images.shape[2]) if flip else maps)


def _to_maps(image_shape: tuple[int, int], parameters: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Affine maps about the image's centre, (n, 8), from output to input pixels.

    parameters: rotation, zoom, shear, shift down and shift right, (n,) each.
    """
    rotation, zoom, shear, shift_y, shift_x = parameters
    angle, slant, scale = np.deg2rad(rotation), np.deg2rad(shear), 1 / (1 + zoom)
    centre_y, centre_x = (image_shape[0] - 1) / 2, (image_shape[1] - 1) / 2
    a, b = np.cos(angle) * scale, (np.cos(angle) * np.tan(slant) - np.sin(angle)) * scale
    d, e = np.sin(angle) * scale, (np.sin(angle) * np.tan(slant) + np.cos(angle)) * scale
    c = centre_x - a * centre_x - b * centre_y + shift_x
    f = centre_y - d * centre_x - e * centre_y + shift_y
    zero = np.zeros(len(angle))
    return np.stack([a, b, c, d, e, f, zero, zero], axis=1).astype(np.float32)


def elastic_fields(
    generator: np.random.Generator, count: int, image_shape: tuple[int, int], strength: float
) -> NDArray[np.float32]:
    """Draw `count` elastic displacement fields, (count, 2, height, width) float32: pixels to add to x and to y.

    White noise through a Gaussian filter, as in P. Simard, D. Steinkraus and J. Platt (2003), Best practices for
    convolutional neural networks applied to visual document analysis, ICDAR, section 2, but drawn directly in the
    filter's basis of leading singular vectors. strength: standard deviation at the image's centre, in pixels.
    """
    coefficients = elastic_coefficients(generator, count, image_shape, strength)
    fields: NDArray[np.float32] = coefficients @ elastic_basis(image_shape)
    return fields.reshape(count, 2, *image_shape)


def elastic_coefficients(
    generator: np.random.Generator, count: int, image_shape: tuple[int, int], strength: float
) -> NDArray[np.float32]:
    """Draw the coefficients of `count` fields, (2 * count, basis vectors) float32, alternately for x and for y."""
    shape = (2 * count, len(elastic_basis(image_shape)))
    return np.float32(strength) * generator.standard_normal(shape, dtype=np.float32)


@cache
def elastic_basis(image_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Basis of elastic fields, (basis vectors, height * width): products of a vertical and a horizontal vector."""
    height, width = image_shape
    return np.kron(_filter_basis(height), _filter_basis(width)).T


def _filter_basis(size: int) -> NDArray[np.float32]:
    """Scaled singular vectors of the Gaussian filter, (size, vectors).

    Their product with standard normal coefficients is filtered white noise of standard deviation 1 at the centre.
    """
    filtered = gaussian_filter1d(np.eye(size), _SIGMA, axis=0, mode="constant")
    vectors, singular_values, _ = np.linalg.svd(filtered)
    kept = singular_values > _MIN_SINGULAR_VALUE * singular_values[0]
    scaled = vectors[:, kept] * singular_values[kept]
    deviation = np.sqrt((scaled[size // 2] ** 2).sum())
    return np.asarray(scaled / deviation, dtype=np.float32)
