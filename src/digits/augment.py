"""Random small distortions of images, drawn as one affine map per image."""

import numpy as np
from numpy.typing import NDArray


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
    """Draw `count` maps from output to input pixels, (count, 8) float32.

    A map (a, b, c, d, e, f, 0, 0) takes the output pixel (x, y) from the input at (ax + by + c, dx + ey + f): the
    layout of TensorFlow's ImageProjectiveTransformV3. Each strength is drawn uniformly between minus and plus its
    value: `rotation` and `shear` in degrees, `zoom` as a share of the size, `shift` in pixels along each axis. The
    centre of the image stays in place but for the shift; strengths of 0 give the identity.
    """
    angle, slant = np.deg2rad(generator.uniform(-1, 1, (2, count)) * [[rotation], [shear]])
    scale = 1 / (1 + generator.uniform(-zoom, zoom, count))
    shift_y, shift_x = generator.uniform(-shift, shift, (2, count))
    centre_y, centre_x = (image_shape[0] - 1) / 2, (image_shape[1] - 1) / 2
    a, b = np.cos(angle) * scale, (np.cos(angle) * np.tan(slant) - np.sin(angle)) * scale
    d, e = np.sin(angle) * scale, (np.sin(angle) * np.tan(slant) + np.cos(angle)) * scale
    c = centre_x - a * centre_x - b * centre_y + shift_x
    f = centre_y - d * centre_x - e * centre_y + shift_y
    zero = np.zeros(count)
    return np.stack([a, b, c, d, e, f, zero, zero], axis=1).astype(np.float32)
