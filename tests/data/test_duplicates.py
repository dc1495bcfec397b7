"""Images that occur more than once are found."""

import numpy as np

from digits.data.duplicates import count_shared, duplicate_groups


def test_repeated_images_point_at_the_first() -> None:
    images = np.array([[1, 2], [3, 4], [1, 2], [3, 4], [5, 6]], dtype=np.uint8)
    assert duplicate_groups(images).tolist() == [0, 1, 0, 1, 4]


def test_shared_images_are_counted() -> None:
    images = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    assert count_shared(images, np.array([[3, 4], [5, 6], [3, 4]], dtype=np.uint8)) == 2
