"""The images that are drawn as uncertain are those that the models disagree on, or are confidently wrong about."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from digits.data.dataset import Dataset
from digits.ensemble.blend import BlendPredictions
from digits.ensemble.combine import PROBABILITIES, mean
from digits.ensemble.disagreement import disagreement, draw_uncertain, most_confident_errors, most_disagreed
from digits.ensemble.selection import Member, Selection, select_method

Selected = Callable[[int], tuple[Selection, BlendPredictions]]


def one_hot(classes: list[int], sure: float = 0.9) -> np.ndarray:
    probabilities: np.ndarray = np.eye(3)[classes] * (sure - (1 - sure) / 2) + (1 - sure) / 2
    return probabilities


def test_disagreement_is_between_zero_and_that_of_certain_opposites() -> None:
    same, other = one_hot([0, 1]), one_hot([1, 1])
    assert disagreement(np.stack([same, same])) == pytest.approx([0, 0], abs=1e-12)
    found = disagreement(np.stack([same, other]))
    assert found[0] > 0.1
    assert found[1] == pytest.approx(0, abs=1e-12)
    certain = disagreement(np.stack([np.eye(3)[[0]], np.eye(3)[[1]]]))
    assert certain == pytest.approx([np.log(2)])


@pytest.fixture
def selected(toy_data: Dataset) -> Selected:
    """Right everywhere but for row 5, surely wrong, and row 9, unsurely; two models differ on test image 7 alone."""

    def make(models: int) -> tuple[Selection, BlendPredictions]:
        rows = toy_data.working_rows
        labels = np.asarray(toy_data.labels)
        oof = one_hot([*labels[rows]])
        oof[5] = one_hot([(labels[rows[5]] + 1) % 3], 0.98)[0]
        oof[9] = one_hot([(labels[rows[9]] + 1) % 3], 0.6)[0]
        test = np.stack([one_hot([0] * 30)] * models)
        test[-1, 7] = one_hot([2], 0.7)[0]
        holdout = np.stack([one_hot([*labels[toy_data.holdout_rows]])] * models)
        member = Member("some", rows, oof, holdout, test)
        folds = np.asarray(toy_data.folds)[rows]
        selection = select_method([member], {"alone": mean(PROBABILITIES)}, labels[rows], folds)
        return selection, BlendPredictions(rows, selection.oof, holdout.mean(axis=0), test.mean(axis=0))

    return make


@pytest.mark.parametrize("models", [1, 2])
def test_the_images_of_most_disagreement_come_first(selected: Selected, models: int) -> None:
    found = most_disagreed(*selected(models), count=4)
    assert found[0] == 7
    assert len(found) == 4


def test_the_most_confident_errors_come_first_and_nothing_else(selected: Selected, toy_data: Dataset) -> None:
    labels, oof = np.asarray(toy_data.labels)[toy_data.working_rows], selected(2)[0].oof
    assert most_confident_errors(oof, labels, 10).tolist() == [5, 9]
    assert most_confident_errors(oof, labels, 1).tolist() == [5]


def test_the_picture_has_the_titles_of_the_classes(toy_data: Dataset, selected: Selected) -> None:
    drawn = matplotlib_image.imread(io.BytesIO(draw_uncertain(toy_data, "abc", *selected(2))), format="png")
    assert drawn.shape[1] > 800
    assert drawn.std() > 0.05
    other = matplotlib_image.imread(io.BytesIO(draw_uncertain(toy_data, "xyz", *selected(2))), format="png")
    assert drawn.shape == other.shape
    assert not np.array_equal(drawn, other)


def test_coloured_images_are_drawn_in_their_colours(
    toy_data: Dataset, coloured_data: Dataset, selected: Selected
) -> None:
    """The toy images of both have the same labels and folds."""
    for data, coloured in ((toy_data, False), (coloured_data, True)):
        drawn = matplotlib_image.imread(io.BytesIO(draw_uncertain(data, "abc", *selected(2))), format="png")
        assert (np.ptp(drawn[..., :3], axis=2).max() > 0.3) == coloured
