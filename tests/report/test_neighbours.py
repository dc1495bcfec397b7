"""The nearest images are those that the same models predict most alike."""

import numpy as np

from digits.report.neighbours import nearest


def one_hot(*shares: float) -> np.ndarray:
    """Probabilities of two classes, by the share of the first."""
    return np.array([[share, 1 - share] for share in shares])


def test_the_nearest_are_those_with_the_most_similar_probabilities() -> None:
    rows = np.array([2, 3, 5, 7, 9])
    model = (rows, one_hot(0.9, 0.5, 0.85, 0.1, 0.2))
    assert nearest([model], np.array([2, 7]), 2) == [[5, 3], [9, 3]]


def test_all_models_that_predict_an_image_count() -> None:
    rows = np.arange(4)
    same, other = (rows, one_hot(0.5, 0.5, 0.5, 0.5)), (rows, one_hot(0.9, 0.1, 0.5, 0.8))
    assert nearest([same, other], np.array([0]), 3) == [[3, 2, 1]]


def test_an_image_is_compared_with_those_of_its_models_alone() -> None:
    model, few = (np.arange(5), one_hot(0.9, 0.8, 0.1, 0.2, 0.3)), (np.array([2, 4]), one_hot(0.4, 0.3))
    assert nearest([model, few], np.array([0, 2, 6]), 9) == [[1, 4, 3, 2], [4], []]


def test_differences_below_noise_do_not_count() -> None:
    rows = np.arange(3)
    sure = (rows, one_hot(1e-9, 1e-6, 0.01))
    assert nearest([sure, (rows, one_hot(0.5, 0.6, 0.5))], np.array([1]), 1) == [[0]]
