"""Infers from a competition's files how its section of the params must be, and why.

Names say most: those of files (train, test, sample), of columns (label, id) and of pixels (a prefix and a number, or
row and column). Where they do not, the cells decide: which column has few different values, in which order the pixels
make smooth images.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.data.places import Member, Place
from digits.data.sniff import COLOURS, Block, Sniffed, is_number, numbers_in, sniff

_SIDES = 4, 512  # pixels
_LABELS = ("label", "labels", "class", "target", "digit", "y", "category", "letter", "character", "emotion", "symbol")
_IDS = ("id", "imageid", "image_id", "image id", "idx", "index", "row_id", "filename", "file", "name")
_TEST = re.compile(r"test|t10k|predict|unlabel", re.IGNORECASE)
_OTHER = re.compile(r"valid|extra|dig-mnist", re.IGNORECASE)
ASSUMED = "assumed"  # begins the reason of a value that no file shows
_NO_TEST = "there is none: a fifth of the labelled images are set apart to play the images to predict"
_SAMPLE = re.compile(r"sample|submi", re.IGNORECASE)


@dataclass
class Inferred:
    """A competition's section of the params, as far as the beginnings of its files show it.

    values: by key. why: what a value was inferred from, by key. unsure: what may be otherwise, and what to set.
    """

    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)

    def set(self, key: str, value: Any, why: str) -> None:
        """Note a value, and what it was inferred from."""
        self.values[key], self.why[key] = value, why


def infer(place: Place) -> Inferred:
    """What the files in `place` show. Raises UserError if there is no training file or no label."""
    sniffed = _sniffed(place)
    images = [table for table in sniffed if table.block]
    sizes = {table.member.name: table.block.count for table in images if table.block}
    occurs = Counter(table.block.count for table in images if table.block)
    size = max(occurs, key=lambda count: (occurs[count], count))
    images = [table for table in images if table.block and table.block.count == size]
    small = [table for table in sniffed if not table.block]
    train, test = _train_and_test(images, small, place)
    if test is None and len(sizes) > len(images):
        counts = ", ".join(f"{name} {count:,}" for name, count in sizes.items())
        raise UserError(f"{place.path}: the images of these files have different numbers of values: {counts}")
    sample = _sample(small, test)
    found = Inferred()
    found.set("train_file", _csv_name(train.member), "the labelled images")
    found.set("test_file", _csv_name(test.member) if test else None, "the images to predict" if test else _NO_TEST)
    if test and _csv_name(test.member) == _csv_name(train.member):
        found.set("test_file", f"test-{_csv_name(test.member)}", f"{test.member}, which has the training file's name")
    _labels(found, train, test, sample, small)
    _ids(found, test, sample)
    _shape(found, train)
    return found


def _sniffed(place: Place) -> list[Sniffed]:
    """The tables of `place` that can be read. Raises UserError if none has images, or two of them have one name."""
    found, faults = [], []
    for member in place.given if len(place.given) > 1 else _outermost(place.members):
        try:
            found.append(sniff(member))
        except UserError as error:  # a table that is not needed may be anything
            faults.append(str(error))
    images = [table for table in found if table.block]
    if not images:
        seen = "; ".join(faults[:2]) or ", ".join(table.member.name for table in found[:5]) or "no CSV at all"
        raise UserError(f"{place.path}: no table has a column for each pixel of an image ({seen}); give other files")
    by_name: dict[str, Sniffed] = {}
    for table in images if len(place.given) < 2 else ():
        other = by_name.setdefault(_csv_name(table.member).lower(), table)
        if other is not table:
            raise UserError(
                f"{place.path}: two files are called {table.member.name}; name the training file and the test file, "
                f"unpacked: DATA={other.member.file},{table.member.file}"
            )
    return found


def _outermost(members: Sequence[Member]) -> list[Member]:
    """Of the members with the same name those in the fewest folders, each content once."""
    named: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda member: member.depth):
        named.setdefault(_csv_name(member).lower(), []).append(member)
    kept: list[Member] = []
    for same in named.values():
        outermost = [each for each in same if each.depth == same[0].depth]
        kept += {each.sha256(): each for each in outermost}.values() if len(outermost) > 1 else outermost
    return kept


def _sample(small: list[Sniffed], test: Sniffed | None) -> Sniffed | None:
    """The sample submission: by its name, or because it begins with the test images' ids."""
    named = (table for table in small if _SAMPLE.search(table.member.name))
    ids = [{*test.cells(name)} for name in test.others] if test else []
    like = (table for table in small if len(table.names) > 1 and {*table.cells(table.names[0])} in ids)
    return next(named, None) or next(like, None)


def _csv_name(member: Member) -> str:
    return f"{Path(member.name).stem}.csv"


def _train_and_test(images: list[Sniffed], small: list[Sniffed], place: Place) -> tuple[Sniffed, Sniffed | None]:
    """The tables of the labelled images and of those to predict; None where there is no such table."""
    given = [table for each in place.given for table in images if table.member == each]
    if len(given) == 2:
        return given[0], given[1]
    labels = {name for table in small if not _SAMPLE.search(table.member.name) for name in table.others}

    def train_likeness(table: Sniffed) -> tuple[bool, bool, bool, int]:
        name = table.member.name
        labelled = any(other.lower() in _LABELS for other in table.others) or bool(labels & {*table.others})
        return labelled, not _TEST.search(name) and not _OTHER.search(name), "train" in name.lower(), len(table.others)

    train = given[0] if given else max(images, key=train_likeness)
    rest = [table for table in images if table is not train and not _OTHER.search(table.member.name)]
    tests = (
        [table for table in rest if _TEST.search(table.member.name)]
        or [table for table in rest if "train" not in table.member.name.lower()]
        or [table for table in rest if len(table.others) < len(train.others)]
    )
    return train, tests[0] if tests else None


def _labels(
    found: Inferred, train: Sniffed, test: Sniffed | None, sample: Sniffed | None, small: list[Sniffed]
) -> None:
    """Find the labels: a column of the training file, several of them, or a column of another file."""
    wanted = sample.names[1].lower() if sample and len(sample.names) > 1 else ""
    others = [name for name in train.others if name]
    by_name = [name for name in others if name.lower() in _LABELS]
    by_name.sort(key=lambda name: (name.lower() != wanted, _LABELS.index(name.lower())))
    same = [name for name in others if name.lower() == wanted and name.lower() not in _IDS]
    only = [name for name in others if not (test and name in test.others) and name.lower() not in _IDS]
    if (label := next(iter(same or by_name), None)) is not None:
        found.set("label_column", label, f"a column of {train.member.name}" + (" and of the sample" if same else ""))
    elif len(only) > 1 and _one_hot(train, only):
        found.set("label_column", only, f"in each row of {train.member.name} one of these columns is 1")
    elif repeated := [
        name
        for name in only or others
        if 1 < len({*train.cells(name)}) <= len(train.rows) / 2 and name.lower() not in _IDS
    ]:
        found.set("label_column", repeated[0], f"the column of {train.member.name} with few different values")
        if len(repeated) > 1:
            found.unsure.append(f"the label may be another column: competition.label_column={repeated[1]}")
    else:
        _labels_elsewhere(found, train, [table for table in small if table is not sample])


def _labels_elsewhere(found: Inferred, train: Sniffed, small: list[Sniffed]) -> None:
    for table in small:
        joins = [name for name in table.names if name in train.others]
        labels = [name for name in table.names if name not in joins]
        if joins and labels:
            name = _csv_name(table.member)
            found.set("labels_file", name, f"{train.member.name} has no labels, and this file has its ids")
            found.set("label_column", labels[0], f"a column of {table.member.name}")
            found.set("train_id_column", joins[0], f"a column of {train.member.name} and of {table.member.name}")
            return
    raise UserError(
        f"{train.member.name}: no column looks like a label; its columns besides the pixels are "
        f"{train.others or 'none'}; set competition.label_column in a params file"
    )


def _one_hot(table: Sniffed, names: list[str]) -> bool:
    cells = [table.cells(name) for name in names]
    return all(is_number(cell) for column in cells for cell in column) and all(
        sorted(map(float, row))[-2:] == [0.0, 1.0] for row in zip(*cells, strict=True)
    )


def _ids(found: Inferred, test: Sniffed | None, sample: Sniffed | None) -> None:
    """Find the ids of the test images and the columns of a submission."""
    others = [name for name in test.others if name] if test else []
    wanted = sample.names[0] if sample else ""
    matching = [name for name in others if name == wanted] or [name for name in others if name.lower() in _IDS]
    if test and sample and not matching:
        known = {*sample.cells(wanted)}
        matching = [name for name in others if known >= {*test.cells(name)} and name != found.values["label_column"]]
    id_column = matching[0] if matching else None
    why = f"a column of {test and test.member.name}" if id_column else "no file has a column of ids"
    found.set("test_id_column", id_column, why)
    if sample is None:
        found.set("sample_file", None, "there is none")
        label = found.values["label_column"]
        found.set("submission_id", id_column or "ImageId", f"{ASSUMED}, because there is no sample submission")
        found.set("submission_label", label if isinstance(label, str) else "Label", f"{ASSUMED} in the same way")
        found.unsure.append(
            "there is no sample submission: set competition.submission_id, submission_label and, if the first id is "
            "not 1, first_id as Kaggle's page says"
        )
        return
    name = _csv_name(sample.member)
    found.set("sample_file", name, "the sample submission")
    found.set("submission_id", sample.names[0], f"first column of {sample.member.name}")
    if len(sample.names) <= 2:
        found.set("submission_label", sample.names[-1], f"second column of {sample.member.name}")
        found.unsure.append("submissions are taken to be scored by accuracy: set competition.metric=macro-f1 if not")
    else:
        found.set("submission_label", sample.names[1:], f"{sample.member.name} has a column for each class")
        found.set("metric", "log-loss", "probabilities are asked for")
        found.unsure.append("a column per class is taken for probabilities that are scored by log loss")


def _shape(found: Inferred, train: Sniffed) -> None:
    """Find the names of the pixels, and height, width and channels of the images."""
    block = train.block
    assert block is not None
    found.set("pixel_prefix", block.prefix, block.why)
    found.set("first_pixel", block.first, block.why)
    cells = [numbers_in(row[block.positions[0]]) for row in train.rows]
    if len(block.positions) == block.count:
        cells = [[row[position] for position in block.positions] for row in train.rows]
    whole = [row for row in cells if len(row) == block.count and all(map(is_number, row))]
    images = np.array(whole, dtype=np.float32).reshape(len(whole), block.count)
    choices = _shapes(block)
    if not choices:
        raise UserError(
            f"{train.member.name}: {block.count:,} values are no image with sides of {_SIDES[0]} to {_SIDES[1]} pixels"
        )
    ranked = sorted(choices, key=lambda choice: _roughness(images, choice))
    height, width, channels, planar = ranked[0]
    square = len({choice[:3] for choice in choices}) == 1
    text = f"{block.count:,} values" if square else f"of all sizes with {block.count:,} values this one is smoothest"
    found.set("image_shape", [height, width], (block.shape and block.why) or text)
    found.set("channels", channels, f"{block.count:,} = {height} x {width} x {channels}")
    if channels > 1:
        found.set("planar", planar, "so neighbouring pixels are most alike")
    if not square and block.shape is None:
        found.unsure.append("height and width may be others: set competition.image_shape if the pictures look sheared")


def _shapes(block: Block) -> list[tuple[int, int, int, bool]]:
    """Heights, widths, channels, and whether planar, of images with so many values; squares alone if any fit."""
    if block.shape:
        return [(*block.shape, 1, False)]
    least, most = _SIDES
    sizes = [
        (height, block.count // channels // height, channels)
        for channels in (1, *COLOURS)
        for height in range(least, most + 1)
        if block.count % (channels * height) == 0 and least <= block.count // channels // height <= most
    ]
    squares = [size for size in sizes if size[0] == size[1]]
    chosen = squares[:1] or [size for size in sizes if size[2] in (1, 3)]
    return [(*size, planar) for size in chosen for planar in ((False, True) if size[2] > 1 else (False,))]


def _roughness(images: NDArray[np.float32], shape: tuple[int, int, int, bool]) -> float:
    """Mean difference of a value and those to its right and below it, in the same channel; 0 without images."""
    height, width, channels, planar = shape
    if planar:
        pixels = images.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    else:
        pixels = images.reshape(-1, height, width, channels)
    return (
        float(np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()) if len(pixels) else 0.0
    )
