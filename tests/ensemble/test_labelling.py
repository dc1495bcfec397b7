"""What is said of new images is what the probabilities say."""

import io

import numpy as np
from PIL import Image

from digits.ensemble.application import BlendOutput
from digits.ensemble.labelling import SHOWN, draw_least_sure, labelled

# two models, three images, three classes
MODELS = np.array([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0, 0, 1]], [[0.8, 0.1, 0.1], [0.2, 0.3, 0.5], [0, 0.1, 0.9]]])


def test_two_classes_their_probabilities_and_whether_models_differ() -> None:
    frame = labelled(BlendOutput(MODELS.mean(axis=0), MODELS.astype(np.float32)), ["a", "b", 7], "Label")
    assert [*frame.columns] == ["Label", "probability", "second", "second_probability", "disagree"]
    assert frame["Label"].tolist() == ["a", "b", 7]
    assert frame["second"].tolist() == ["b", 7, "b"]
    assert frame["disagree"].tolist() == ["", "yes", ""]
    assert np.allclose(frame["probability"], [0.75, 0.45, 0.95])
    assert np.allclose(frame["second_probability"], [0.15, 0.4, 0.05])


def test_a_single_model_agrees_with_itself() -> None:
    frame = labelled(BlendOutput(MODELS[0], MODELS[:1].astype(np.float32)), [0, 1, 2], "Label")
    assert not frame["disagree"].any()


def test_the_least_sure_are_drawn_however_many_there_are() -> None:
    for count in (1, SHOWN + 5):
        images = np.full((count, 4, 4, 3), 255, np.uint8)
        images[-1] = 0  # the least sure
        blended = np.tile([0.9, 0.1], (count, 1))
        blended[-1] = 0.6, 0.4
        ids = [f"{number} a name of many letters.png" for number in range(count)]
        with Image.open(io.BytesIO(draw_least_sure(images, ids, blended, ["$a$", "b"]))) as picture:
            dark = np.asarray(picture.convert("L")) < 10
        assert dark[:, : dark.shape[1] // 8].mean() > 0.03
        assert dark[:, dark.shape[1] // 4 :].mean() < 0.03
