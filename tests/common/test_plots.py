"""Curves that all readers can tell apart, images as they are, and pictures that belong to the data they show."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from digits.common.plots import draw_images, drawing, read_pictures, write_pictures


def test_twelve_curves_look_different() -> None:
    with drawing():
        _, axes = plt.subplots()
        lines = [axes.plot([0, 1], [number, number])[0] for number in range(12)]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    assert plt.get_fignums() == []


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_are_drawn_as_they_are_each_under_its_title(channels: int) -> None:
    """Three channels as RGB, four as RGBA, two as their mean."""
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels)).astype(np.uint8)
    with drawing():
        figure = plt.figure()
        draw_images(figure, images, [*"abcde"], columns=3)
        [axes] = figure.axes
        for shown, text, image, title in zip(axes.images, axes.texts, images, "abcde", strict=True):
            drawn = np.asarray(shown.get_array()).astype(float)
            assert np.abs(drawn - (image if channels > 2 else image.mean(axis=2))).max() <= (channels == 2) / 2
            left, right, bottom, top = shown.get_extent()
            assert (bottom - top) / (right - left) == pytest.approx(4 / 6), "square pixels"
            across, up = text.get_position()
            assert text.get_text() == title
            assert left < across < right
            assert up < top < bottom, "the axes count downwards"
        places = [shown.get_extent() for shown in axes.images]
        assert len({(left, top) for left, _, _, top in places}) == 5
        assert len({top for *_, top in places}) == 2, "rows"


def _line() -> str:
    plt.subplots()[1].plot([0, 1])
    return "It rises"


def test_pictures_belong_to_their_data_and_replace_those_before(tmp_path: Path) -> None:
    assert read_pictures(tmp_path, "a") == {}
    written = write_pictures(tmp_path, "a", {"line": _line, "more": _line, "nothing": lambda: None})
    assert [*written] == ["line", "more"]
    assert read_pictures(tmp_path, "a") == written
    assert written["line"].title == "It rises"
    assert written["line"].path.read_bytes()[:4] == b"\x89PNG"
    write_pictures(tmp_path, "b", {"line": _line})
    assert read_pictures(tmp_path, "a") == {}
    assert [*read_pictures(tmp_path, "b")] == ["line"] == [path.stem for path in tmp_path.glob("*.png")]


def test_a_page_that_is_made_meanwhile_finds_every_picture_that_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a", {"line": _line, "more": _line})

    def look() -> None:
        named = read_pictures(tmp_path, "a")
        assert [picture.path.read_bytes()[:4] for picture in named.values()] == [b"\x89PNG"] * 2

    write_pictures(tmp_path, "b", {"line": _line, "none": look})
    assert [path.stem for path in tmp_path.glob("*.png")] == ["line"]
