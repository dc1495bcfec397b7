"""What differs between two runs, which of them is better, and which images one alone predicts correctly."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.plots import image_png
from digits.ensemble.disagreement import most_confident_errors
from digits.evaluation.comparison import difference, right_alone
from digits.evaluation.scoring import ACCURACY, LOG_LOSS, Metric
from digits.report.compared import Compared
from digits.report.layout import Section, Table

_LISTED, _SHOWN = 10, 24  # errors of each in the table, in pictures
_LONGEST = 60  # characters of a param


@dataclass(frozen=True)
class Pair:
    """Two runs or blends, cut down to the images that both predict out of fold, with short names if these differ.

    alike: whether the labelled images are the same. rows, labels: (n,). metric: the competition's.
    """

    old: Compared
    new: Compared
    alike: bool
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    metric: Metric

    @property
    def comparable(self) -> bool:
        """Whether there are images to compare them on."""
        return len(self.labels) > 1


def pair(old: Compared, new: Compared, metric: Metric) -> Pair:
    """The two, on the images that both predict; on none if their labelled images are not the same."""
    alike = all(np.array_equal(getattr(old.data, part), getattr(new.data, part)) for part in ("images", "labels"))
    rows, of_old, of_new = np.intersect1d(old.rows, new.rows if alike else new.rows[:0], return_indices=True)
    first, second = (each.name.rpartition("-")[0] for each in (old, new))
    if first == second:
        first, second = old.name, new.name if new.name != old.name else f"{new.name} again"
    old, new = replace(old, name=first, oof=old.oof[of_old]), replace(new, name=second, oof=new.oof[of_new])
    return Pair(old, new, alike, rows, np.asarray(old.data.labels)[rows], metric)


def sections(pair: Pair) -> list[Section]:
    """The answers, for the page and for the terminal."""
    scores = Section("scores", "Which one is better?", missing=f"This cannot be told: {verdict(pair)}.")
    return [_differences(pair), *([_scores(pair), _images(pair)] if pair.comparable else [scores])]


def verdict(pair: Pair) -> str:
    """Which of the two is better, in a sentence without its full stop."""
    if not pair.comparable:
        return "no labelled image is predicted out of fold by both"
    found = difference(pair.metric, pair.new.oof, pair.old.oof, pair.labels)
    worse, better = pair.old.name, pair.new.name
    if found.value < 0:
        found, worse, better = -found, better, worse
    fewer = round(found.value * len(pair.labels))
    said = f"makes {fewer:,} fewer error{'s' * (fewer != 1)} than" if pair.metric is ACCURACY else "is better than"
    if found.value == 0:
        said = "is as good as"
    return f"{better} {said} {worse} on {len(pair.labels):,} images; difference in {pair.metric.title} {found}"


def _differences(pair: Pair) -> Section:
    result = Section("differences", "What differs?")
    old, new, hashes = pair.old, pair.new, f"{pair.old.hash[:12]} and {pair.new.hash[:12]}"
    data = (
        f"the same images in the same folds (hash {old.hash[:12]})"
        if old.hash == new.hash
        else f"the same labelled images, but not the same folds, test images or share of them (hashes {hashes})"
        if pair.alike
        else f"other images (hashes {hashes}), so no score can be compared"
    )
    version = "the same" if old.version == new.version else f"not known to be the same ({old.version}; {new.version})"
    result.sentences += [f"Data: {data}.", f"Version of the code and its libraries: {version}."]
    mine, others = old.params, new.params
    if mine["kind"] != others["kind"]:
        mine, others = ({key: params[key] for key in mine if key in others} for params in (old.params, new.params))
        result.sentences.append("As they are of different kinds, only params that both have are compared.")
    if rows := [*_differing(mine, others)]:
        result.tables.append(_table("Params that differ", ("param", old.name, new.name), rows))
    else:
        result.sentences.append("No param differs.")
    return result


def _differing(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """The flattened key and both values, as text, of each param that differs; sections in lists by their number."""
    if isinstance(old, list) and isinstance(new, list) and all(isinstance(each, dict) for each in (*old, *new)):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _differing(old.get(name, ""), new.get(name, ""), f"{key}.{name}" if key else str(name))
    elif old != new:
        yield key, _text(old), _text(new)


def _text(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value), _LONGEST, placeholder=" …")


def _table(caption: str, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table from its rows, of which there is at least one."""
    columns = zip(titles, zip(*rows, strict=True), strict=True)
    return Table(caption, {title: ("d" if isinstance(cells[0], int) else "", cells) for title, cells in columns})


def _scores(pair: Pair) -> Section:
    result, old, new, labels = Section("scores", "Which one is better?"), pair.old, pair.new, pair.labels
    result.sentences += [
        f"{verdict(pair)}.",
        "Both predict these images out of fold. In brackets are 95 % intervals. They tell what other images of this "
        "kind would change, not what other seeds would. The interval of a difference in accuracy is Bonett and Price's "
        "(2012) for paired proportions.",
    ]
    rows = [
        (
            f"CV {metric.title}",
            *(str(metric.score(each.oof, labels)) for each in (old, new)),
            str(difference(metric, new.oof, old.oof, labels)),
        )
        for metric in dict.fromkeys((pair.metric, ACCURACY, LOG_LOSS))
    ]
    titles = ("score", old.name, new.name, f"{new.name} is better by")
    result.tables.append(_table(f"Scores on {len(labels):,} images", titles, rows))
    return result


def _images(pair: Pair) -> Section:
    result = Section("images", "Which images does one alone predict correctly?")
    data, labels, names = pair.old.data, pair.labels, pair.old.data.class_names
    counts, listed = [], []
    for right, wrong in ((pair.old, pair.new), (pair.new, pair.old)):
        places = np.flatnonzero(right_alone(right.oof, wrong.oof, labels))
        counts.append(np.bincount(labels[places], minlength=len(names)))
        result.sentences.append(f"{right.name} alone predicts {len(places):,} images correctly.")
        errors = places[most_confident_errors(wrong.oof[places], labels[places], _SHOWN)]
        found = [_described(pair, place) for place in errors]
        listed += [(right.name, *each) for each in found[:_LISTED]]
        lines = [
            (f"row {row}", f"label: {label}", f"{pair.old.name}: {old}", f"{pair.new.name}: {new}")
            for row, label, old, new in found
        ]
        pictures = map(image_png, data.shaped(data.images[pair.rows[errors]]))
        if found:
            title = f"{len(found)} of {len(places):,} errors of {wrong.name} where {right.name} is right"
            result.add_gallery(title, [*zip(pictures, lines, strict=True)])
    if listed:
        both = [f"{each.name} alone" for each in (pair.old, pair.new)]
        rows = [(name, int(old), int(new)) for name, old, new in zip(names, *counts, strict=True) if old or new]
        result.tables.append(_table("Images that one alone predicts correctly, by class", ("class", *both), rows))
        titles = ("right", "row", "label", pair.old.name, pair.new.name)
        result.tables.append(_table("The most confident errors that the other one does not make", titles, listed))
    return result


def _described(pair: Pair, place: int) -> tuple[int, str, str, str]:
    """Row in the file, which begins with a header, the label, and what each predicts with its probability."""
    names = pair.old.data.class_names
    predictions = (
        f"{names[each.oof[place].argmax()]},\N{NO-BREAK SPACE}{each.oof[place].max():.0%}"
        for each in (pair.old, pair.new)
    )
    return int(pair.rows[place]) + 2, names[pair.labels[place]], *predictions
