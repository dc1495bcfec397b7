"""The practice set: scikit-learn's 1,797 digits of 8x8 pixels, in the format of the competition's files.

With it every command works without a Kaggle account and offline. Its scores mean nothing on Kaggle.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from digits.common.errors import UserError
from digits.config import Competition

TEST_SHARE = 0.3
SEED = 0


def practice_files(competition: Competition) -> dict[str, bytes]:
    """Content of the three CSVs, by file name, in the competition's columns and image shape.

    The images are enlarged by the largest whole factor that fits the competition's image shape, without interpolation,
    and centred. Raises UserError if the competition's images or columns are of another kind.
    """
    if not _can_replace(competition):
        raise UserError(
            "the practice set has ten classes of grey 8x8 images, a column for each pixel and one for the labels, and "
            "cannot replace this competition's files; give those with DATA=path"
        )
    digits = load_digits(n_class=competition.classes)
    images = _enlarge((digits.images * (255 / 16)).round().astype(np.uint8), competition.image_shape)
    train, test, labels, _ = train_test_split(
        images, digits.target, test_size=TEST_SHARE, random_state=SEED, stratify=digits.target
    )
    ids = np.arange(competition.first_id, competition.first_id + len(test))
    train_frame = pd.DataFrame(train, columns=competition.pixel_columns)
    train_frame.insert(0, competition.label_column, labels)
    test_frame = pd.DataFrame(test, columns=competition.pixel_columns)
    if competition.test_id_column:
        test_frame.insert(0, competition.test_id_column, ids)
    frames = {competition.train_file: train_frame, competition.test_name: test_frame}
    if competition.sample_file:
        frames[competition.sample_file] = pd.DataFrame(
            dict.fromkeys(competition.submission_columns, 0) | {competition.submission_id: ids}
        )
    return {name: frame.to_csv(index=False, lineterminator="\n").encode() for name, frame in frames.items()}


def _can_replace(competition: Competition) -> bool:
    return (
        competition.classes <= 10
        and min(competition.image_shape) >= 8
        and competition.channels == 1
        and isinstance(competition.first_pixel, int)
        and isinstance(competition.label_column, str)
        and competition.labels_file is None
        and competition.test_file is not None
        and competition.pixel_range in (None, (0, 255))
    )


def _enlarge(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(n, 8, 8) -> (n, height * width)."""
    scale = min(shape) // 8
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    spare = [side - 8 * scale for side in shape]
    margins = [(0, 0), *((space // 2, space - space // 2) for space in spare)]
    return np.pad(large, margins).reshape(len(images), -1)
