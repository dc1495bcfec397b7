"""Random small distortions of images: one affine map and one smooth field of displacements per image."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from digits.models.warping import warp

_SMOOTHNESS = 4.0  # pixels; standard deviation of the Gaussian that smooths the fields (Simard et al.)
_NEGLIGIBLE = 0.03  # share of the strongest wave's amplitude below which a wave is left out of the fields


def distort(
    generator: np.random.Generator, images: NDArray[np.number], *, elastic: float, **affine: float
) -> NDArray[np.float32]:
    """Images, (n, height, width), each distorted in its own way; float32, zero outside the frame.

    elastic: strength of `elastic_fields`. affine: strengths of `affine_maps`.
    """
    shape = (images.shape[1], images.shape[2])
    maps = affine_maps(generator, len(images), shape, **affine)
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
) -> NDArray[np.float32]:
    """Draw `count` maps from output to input pixels, (count, 8) float32, as `warp` takes them.

    Each strength is drawn uniformly between minus and plus its value: `rotation` and `shear` in degrees, `zoom` as a
    share of the size, `shift` in pixels along each axis. The centre of the image stays in place but for the shift;
    strengths of 0 give the identity.
    """
    turned, sheared = generator.uniform(-1, 1, (2, count)) * [[rotation], [shear]]
    zoomed = generator.uniform(-zoom, zoom, count)
    shift_y, shift_x = generator.uniform(-shift, shift, (2, count))
    return _maps(image_shape, turned, zoomed, sheared, shift_y, shift_x)


def whole_shifts(generator: np.random.Generator, count: int, shift: float) -> NDArray[np.float32]:
    """Draw `count` maps, as `affine_maps` does, that shift by whole pixels alone, up to `shift` along each axis.

    Interpolation changes no value then, where every other map blurs the image a little.
    """
    furthest = int(shift)
    maps = np.tile(np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32), (count, 1))
    maps[:, [2, 5]] = generator.integers(-furthest, furthest, (count, 2), endpoint=True)
    return maps


def view(
    images: NDArray[np.number],
    *,
    rotation: float = 0.0,
    zoom: float = 0.0,
    shear: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """All images, (n, height, width), moved alike; float32, zero outside the frame.

    rotation and shear in degrees, zoom as a share of the size, shift in pixels down and right.
    """
    count = len(images)
    moves = (np.full(count, value) for value in (rotation, zoom, shear, -shift[0], -shift[1]))
    return warp(images, _maps((images.shape[1], images.shape[2]), *moves))


def _maps(
    image_shape: tuple[int, int],
    rotation: NDArray[np.float64],
    zoom: NDArray[np.float64],
    shear: NDArray[np.float64],
    shift_y: NDArray[np.float64],
    shift_x: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Maps from output to input pixels, (n, 8), that turn by `rotation` and so on, (n,) each, about the centre."""
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
    """Draw `count` smooth random fields, (count, 2, height, width) float32: pixels to add to x and to y.

    White noise behind a Gaussian filter, as by P. Simard, D. Steinkraus and J. Platt (2003), Best practices for
    convolutional neural networks applied to visual document analysis, ICDAR, section 2, but drawn directly as a sum of
    the few waves that the filter lets pass. strength: standard deviation at the centre of the image, in pixels.
    """
    fields: NDArray[np.float32] = elastic_noise(generator, count, image_shape, strength) @ smooth_waves(image_shape)
    return fields.reshape(count, 2, *image_shape)


def elastic_noise(
    generator: np.random.Generator, count: int, image_shape: tuple[int, int], strength: float
) -> NDArray[np.float32]:
    """Draw what `elastic_fields` multiplies the waves by, (2 * count, waves): in turns for x and for y."""
    shape = (2 * count, len(smooth_waves(image_shape)))
    return np.float32(strength) * generator.standard_normal(shape, dtype=np.float32)


@cache
def smooth_waves(image_shape: tuple[int, int]) -> NDArray[np.float32]:
    """(waves, height * width): all products of a wave down and a wave across, to draw many images by one product."""
    height, width = image_shape
    return np.kron(_smooth_lines(height), _smooth_lines(width)).T


def _smooth_lines(size: int) -> NDArray[np.float32]:
    """(size, waves): random numbers times these waves are filtered white noise, of deviation 1 in the middle."""
    filtered = gaussian_filter1d(np.eye(size), _SMOOTHNESS, axis=0, mode="constant")
    waves, amplitudes, _ = np.linalg.svd(filtered)
    kept = amplitudes > _NEGLIGIBLE * amplitudes[0]
    scaled = waves[:, kept] * amplitudes[kept]
    deviation = np.sqrt((scaled[size // 2] ** 2).sum())
    return np.asarray(scaled / deviation, dtype=np.float32)
