"""A picture becomes what the competition's images are, however it was drawn, photographed or saved."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from digits.data.ink import Ink, mass, measured_ink
from digits.data.pictures import to_pixels
from toys import toy_images

SIDE = 28
TESTED = 40  # images that are rendered; the classifier learns the others


@cache
def drawings() -> tuple[np.ndarray, np.ndarray]:
    """Digits prepared as those of MNIST are, uint8 (n, 28, 28), and their labels (n,)."""
    digits = load_digits()
    made = []
    for image in digits.images[:300]:
        large = ndimage.zoom(image / 16, 20, order=1) > 0.5  # pen strokes of 160 x 160 pixels
        rows, columns = (np.flatnonzero(large.any(axis=axis)) for axis in (1, 0))
        ink = np.pad(large[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 300).astype(np.float32)
        scale = max(len(rows), len(columns)) / 20
        row, column = 300 - scale * np.rint(14 - (mass(ink) - 300) / scale)  # moved by whole pixels
        window = (column, row, column + SIDE * scale, row + SIDE * scale)
        small = Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BOX, box=window)
        made.append(np.rint(255 * np.asarray(small)).astype(np.uint8))
    return np.array(made), digits.target[:300]


@cache
def prepared() -> Ink:
    ink = measured_ink(drawings()[0])
    assert ink is not None
    return ink


@cache
def classifier() -> KNeighborsClassifier:
    images, labels = drawings()
    return KNeighborsClassifier(3).fit(images[TESTED:].reshape(-1, SIDE * SIDE), labels[TESTED:])


def page(image: np.ndarray, scale: int, at: tuple[int, int], paper: float, ink: float) -> np.ndarray:
    """A digit, larger, on a page of 400 x 600 pixels; paper, ink: their brightness."""
    large = np.asarray(Image.fromarray(image).resize((SIDE * scale, SIDE * scale), Image.Resampling.BICUBIC)) / 255
    sheet = np.zeros((600, 400))
    sheet[at[1] : at[1] + SIDE * scale, at[0] : at[0] + SIDE * scale] = large
    return np.asarray(paper + (ink - paper) * sheet)


def alike(some: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(some.ravel(), other.ravel())[0, 1])


def made(picture: Image.Image) -> np.ndarray:
    return to_pixels(picture, (SIDE, SIDE), 1, prepared())


def test_how_drawings_were_prepared_is_measured() -> None:
    assert prepared().longest == 20
    assert prepared().centre == pytest.approx((14, 14), abs=0.1)
    assert measured_ink(np.roll(drawings()[0], (1, -2), (1, 2))).centre == pytest.approx((15, 12), abs=0.1)  # type: ignore[union-attr]


def test_images_without_a_black_edge_or_of_many_sizes_are_no_drawings() -> None:
    assert measured_ink(toy_images(90, np.random.default_rng(0))[0].reshape(-1, 12, 12)) is None
    sizes = np.zeros((90, 12, 12), np.uint8)
    for number, image in enumerate(sizes):
        image[2 : 4 + number % 7, 2:4] = 255
    assert measured_ink(sizes) is None
    assert measured_ink(np.zeros((5, 12, 12), np.uint8)) is None


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(0, TESTED - 1),
    scale=st.integers(5, 14),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    paper=st.integers(120, 255),
    ink=st.integers(0, 70),
    inverted=st.booleans(),
    shadow=st.floats(0, 0.5),
    grain=st.floats(0, 6),
    orientation=st.integers(1, 8),
)
def test_a_digit_on_a_photographed_page_comes_back_near_its_original(
    number: int,
    scale: int,
    at: tuple[float, float],
    paper: int,
    ink: int,
    inverted: bool,
    shadow: float,
    grain: float,
    orientation: int,
) -> None:
    """Of any size, anywhere, on dark or bright paper, in a shadow, with grain, stored turned as cameras do."""
    image = drawings()[0][number]
    place = (int(at[0] * (400 - SIDE * scale)), int(at[1] * (600 - SIDE * scale)))
    sheet = page(image, scale, place, *((255 - paper, 255 - ink) if inverted else (paper, ink)))
    lit = sheet * (1 - shadow * np.linspace(0, 1, 400)) + np.random.default_rng(number).normal(0, grain, sheet.shape)
    stored = Image.fromarray(lit.clip(0, 255).astype(np.uint8)).convert("RGB")
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's transpositions, undone by EXIF
    if turned is not None:
        stored = stored.transpose(Image.Transpose(turned))
    stored.getexif()[0x0112] = orientation
    assert alike(made(stored), image) > 0.8


def test_shadows_with_hard_edges_are_no_ink() -> None:
    image = drawings()[0][3]
    sheet = page(image, 12, (32, 100), 220, 50)
    sheet[:, :150] *= 0.4
    assert alike(made(Image.fromarray(sheet.astype(np.uint8))), image) > 0.8


def test_the_label_stays_and_so_does_nearly_every_pixel() -> None:
    images, _ = drawings()
    shown = [page(image, 14, (4, 100), 250, 10) for image in images[:TESTED]]
    back = np.array([made(Image.fromarray(sheet.astype(np.uint8))) for sheet in shown])
    flat = images[:TESTED].reshape(TESTED, -1)
    assert np.mean([alike(some, other) for some, other in zip(back, flat, strict=True)]) > 0.95
    assert (classifier().predict(back) == classifier().predict(flat)).mean() >= 0.95


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "transparent", "white ink", "16 bits"])
def test_all_kinds_of_pictures_give_the_same(mode: str) -> None:
    image = drawings()[0][3]
    sheet = page(image, 12, (20, 60), 255, 0).round().astype(np.uint8)
    picture = Image.fromarray(sheet)
    if mode == "16 bits":
        picture = Image.fromarray(sheet.astype(np.uint16) * 257)
    elif mode in ("transparent", "white ink"):
        clear = np.full((*sheet.shape, 4), 255 * (mode == "white ink"), np.uint8)
        clear[..., 3] = 255 - sheet
        picture = Image.fromarray(clear)
    else:
        picture = picture.convert(mode, dither=Image.Dither.NONE)
    expected = made(Image.fromarray(sheet))
    assert alike(made(picture), expected) > (0.98 if mode == "1" else 0.999)


@pytest.mark.parametrize("ground", [0, 255])
def test_a_picture_of_an_image_of_the_competition_is_that_image(ground: int) -> None:
    for image in drawings()[0][:TESTED]:
        assert np.array_equal(made(Image.fromarray(np.abs(ground - image.astype(int)).astype(np.uint8))), image.ravel())


def test_thin_strokes_are_thickened_and_dust_is_left_out() -> None:
    sheet = np.full((600, 400), 255, np.uint8)
    sheet[100:500, 198:202] = 0
    line = made(Image.fromarray(sheet)).reshape(SIDE, SIDE)
    sheet[20:24, 20:24] = 0
    assert np.array_equal(made(Image.fromarray(sheet)).reshape(SIDE, SIDE), line)
    assert (line > 127).any(axis=1).sum() == 20
    assert line[14].sum() / 255 == pytest.approx(2.5, abs=0.5)


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (400, 600)])
@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_nothing_drawn_is_an_error(size: tuple[int, int], brightness: int) -> None:
    grain = np.random.default_rng(0).normal(brightness, 3, size[::-1]).clip(0, 255) * (size != (28, 28))
    with pytest.raises(ValueError, match="nothing is drawn"):
        made(Image.fromarray(grain.astype(np.uint8)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_where_the_images_are_no_drawings_a_picture_is_only_scaled(channels: int, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (9, 12, channels)).astype(np.uint8)
    picture = Image.fromarray(values.squeeze(), mode)
    assert np.array_equal(to_pixels(picture, (9, 12), channels, None), values.ravel())
    double = picture.resize((24, 18), Image.Resampling.NEAREST)
    assert alike(to_pixels(double, (9, 12), channels, None), values) > 0.9
