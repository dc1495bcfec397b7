"""Files of other images are read as those of the competition, and what is wrong with one is said in a line."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from digits.common.errors import UserError
from digits.config import Params
from digits.data.new_images import find_pictures, read_csv, read_pictures
from toys import toy_images

ABOUT: dict[str, Any] = {
    "image_shape": [12, 12],
    "channels": 1,
    "pixel_range": [0, 255],
    "ink": {"longest": 8, "centre": [6, 6]},
    "class_values": [0, 1, 2],
}


def write_csv(path: Path, change: dict[str, Any] | None = None, count: int = 6) -> np.ndarray:
    """A CSV of toy images, with some columns added or replaced; the images."""
    images = toy_images(count, np.random.default_rng(0))[0]
    frame = pd.DataFrame(images, columns=[f"pixel{number}" for number in range(144)])
    frame.assign(**(change or {})).to_csv(path, index=False)
    return images


def draw(path: Path, size: tuple[int, int] = (60, 60)) -> Path:
    """A black bar on white paper."""
    picture = Image.new("L", size, 255)
    picture.paste(0, (size[0] // 4, size[1] // 3, size[0] // 2, size[1] // 3 + 5))
    picture.save(path)
    return path


def message(*paths: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_pictures(paths, ABOUT)
    return str(caught.value)


def test_a_csv_has_ids_and_labels_or_not(tmp_path: Path, toy_params: Params) -> None:
    path, competition = tmp_path / "new.csv", toy_params.competition.model_copy(update={"test_id_column": "id"})
    images = write_csv(path)
    new = read_csv(path, competition, ABOUT)
    assert np.array_equal(new.images, images)
    assert new.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert new.labels is None
    assert not new.notices
    write_csv(path, {"id": [*"fedcba"], "label": [0, 1, 2, 0, 1, 2], "note": "x"})
    new = read_csv(path, competition, ABOUT)
    assert np.array_equal(new.images, images)
    assert new.ids.tolist() == [*"fedcba"]
    assert new.labels is not None
    assert new.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert "'note'" in "\n".join(new.notices)
    write_csv(path, {"label": ["", 1, 2, 0, 1, 2]})
    assert read_csv(path, competition, ABOUT).labels is None


def test_what_is_wrong_with_a_csv_is_said_as_make_data_says_it(tmp_path: Path, toy_params: Params) -> None:
    path, competition = tmp_path / "new.csv", toy_params.competition
    for change, expected in (
        ({"pixel3": "x"}, r"new.csv: 6 cells are not numbers, the first in row 2, column pixel3: 'x'"),
        ({"pixel144": 1}, r"new.csv, row 1: there are 145 pixel columns, but images of 12x12 need 144\n.*test.csv"),
    ):
        write_csv(path, change)
        with pytest.raises(UserError, match=expected):
            read_csv(path, competition, ABOUT)


def test_values_are_scaled_as_those_of_the_training_images(tmp_path: Path, toy_params: Params) -> None:
    path, competition = tmp_path / "new.csv", toy_params.competition
    write_csv(path, {"pixel0": 300})
    new = read_csv(path, competition, ABOUT)
    assert (new.images[:, 0] == 255).all()
    assert "6 pixels are outside 0 to 255" in new.notices[0]
    write_csv(path, {f"pixel{number}": 0.5 for number in range(144)})
    assert "no pixel is above 1" in read_csv(path, competition, ABOUT).notices[0]
    halves = read_csv(path, competition, {**ABOUT, "pixel_range": [0, 1]})
    assert (halves.images == 128).all()
    assert not halves.notices


def test_pictures_of_a_folder_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("b 10.png", "b 9.PNG", "2.jpeg", "10.jpg", "a.png", "notes.txt", "._a.png"):
        draw(tmp_path / name) if name != "notes.txt" else (tmp_path / name).write_text("x")
    found = find_pictures(tmp_path)
    assert [path.name for path in found] == ["2.jpeg", "10.jpg", "a.png", "b 9.PNG", "b 10.png"]
    new = read_pictures(found, ABOUT)
    assert new.ids.tolist() == [path.name for path in found]
    assert new.images.shape == (5, 144)
    assert find_pictures(tmp_path / "a.png") == [tmp_path / "a.png"]
    write_csv(tmp_path / "new.csv")
    assert not find_pictures(tmp_path / "new.csv")


def test_names_in_any_alphabet_are_ids(tmp_path: Path) -> None:
    names = ["-x ü 数.png", "a\nb.png", os.fsdecode(b"\xff.png")]
    new = read_pictures([draw(tmp_path / name) for name in names], ABOUT)
    assert new.ids.tolist() == ["-x ü 数.png", "a\nb.png", "\ufffd.png"]


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = draw(tmp_path / "good.png", (300, 300))
    empty, text, cut, other = (tmp_path / name for name in ("empty.png", "text.png", "cut.jpg", "other.png"))
    Image.new("RGB", (50, 50), "white").save(empty)
    text.write_text("not a picture")
    draw(tmp_path / "whole.jpg", (300, 300))
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    Image.new("L", (9, 9)).save(other, "GIF")
    lines = message(good, empty, text, cut, other).splitlines()
    assert [line.split(":")[0] for line in lines] == ["empty.png", "text.png", "cut.jpg", "other.png"]
    assert "nothing is drawn on it" in lines[0]
    assert "this is no PNG or JPEG" in lines[1]
    assert "this is no PNG or JPEG" in lines[3]
    assert "truncated" in lines[2]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
    assert "good.png: it has more than 0 million pixels" in message(good)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    assert "good.png: it has more than 0 million pixels" in message(good)
    assert message(*[text] * 9).splitlines()[-1] == "4 more pictures cannot be used"


def test_what_is_not_there_is_an_error_with_the_next_command(tmp_path: Path) -> None:
    for path, expected in ((tmp_path / "no.csv", "there is no file .*no.csv"), (tmp_path, "no PNG or JPEG is in this")):
        with pytest.raises(UserError, match=f"{expected}.*make predict FILE=new.csv"):
            find_pictures(path)
    with pytest.raises(UserError, match="2 values per pixel"):
        read_pictures([draw(tmp_path / "a.png")], {**ABOUT, "channels": 2})


def test_a_large_photograph_is_read_as_a_small_one(tmp_path: Path) -> None:
    large, small = (draw(tmp_path / f"{side}.jpg", (side, side)) for side in (6000, 600))
    both = read_pictures([large, small], ABOUT)
    assert np.corrcoef(both.images[0], both.images[1])[0, 1] > 0.9
