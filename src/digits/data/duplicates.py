"""Images that occur more than once."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def duplicate_groups(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each row of `images`, (n, pixels), the first row with the same pixels; (n,)."""
    first: dict[bytes, int] = {}
    keys = image_digests(images)
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def image_digests(images: NDArray[np.uint8]) -> Iterator[bytes]:
    """A hash of 16 bytes for each row of `images`; the probability of a collision among a billion images is 1e-21."""
    for image in np.ascontiguousarray(images):
        yield blake2b(image.data, digest_size=16).digest()


def count_shared(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> int:
    """How many rows of `others` occur in `images` too, both (rows, pixels)."""
    known = set(image_digests(images))
    return sum(digest in known for digest in image_digests(others))
