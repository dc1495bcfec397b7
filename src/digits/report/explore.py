"""What the page's script shows of each run: its params, learning curve, confusions, and images with their answers.

All images are one picture, a sprite, which keeps the page small. Nothing here is drawn or laid out: explore.js does it.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.plots import image_png
from digits.config.schema import DEFAULT
from digits.config.section import Augment
from digits.data.dataset import Dataset
from digits.ensemble.disagreement import most_confident_errors
from digits.models.architecture import parse_layers
from digits.models.augmentation import augment_images
from digits.report.drawing import drawn
from digits.report.gather import Content, Run
from digits.report.neighbours import nearest
from digits.report.sections import training
from digits.training.candidates import namer

_ERRORS = 12  # most confident errors of each run
_IN_CELL = 24  # images of a cell of the blend's confusion matrix
_RIGHT = 12  # images of each class that the blend predicts correctly, least confident first
# The page stays under 6 MB, with Vega's 0.9: bytes of the sprite; and an answer takes 15 bytes as JSON
_BYTES, _ANSWERS = 1_700_000, 100_000
_NEAREST = 5  # neighbours of each image, 2 of them its own on average where there is little room
_COPIES = 3  # augmented ones of each image
_SAMPLE = 100  # images, whose size as PNG tells how many there is room for
_SIDE = 64  # pixels; larger images are thinned out
_MATRIX = 20  # classes; for more, the confusions are a list
_LISTED = 60  # of such confusions
_LOG_LINES = 2000  # of all runs
_EPOCHS = 60  # points of a learning curve
_CURVES = ("loss", "valid_loss", "accuracy", "valid_accuracy", "learning_rate")


def explore(content: Content) -> dict[str, Any] | None:
    """What explore.js reads, as JSON can hold it; None if there is no run.

    classes: names. sprite: base64 of a PNG; grid: columns and rows of images in it; size: height and width of each, in
    pixels. images: row in the file and label of each; others: the same of the images that follow in the sprite. near:
    of each of `images`, the places of its nearest neighbours in the sprite, as far as there was room. augmented: by
    which run's augmentation, from which place in the sprite, and how many copies of each of `images`, one image after
    the other; None if no run augments. curves: charts of a learning curve without their points. runs, in the order of
    `content.runs`, and blend (None if there is none): each a dictionary, see `_answers` and `_described`.
    """
    data = content.data
    if data is None or not content.runs:
        return None
    labels, predictions = np.asarray(data.labels, np.int64), content.predictions
    shaped = data.shaped(data.images)
    step = -(-max(data.image_shape) // _SIDE)
    changing = next((run for run in content.runs if _augment(run)), None)
    each = len(image_png(_sprite(shaped[:_SAMPLE, ::step, ::step], _SAMPLE // 10))) / min(_SAMPLE, len(shaped))
    room = int(_BYTES / each)
    limit = min(room // (3 + _COPIES * (changing is not None)), _ANSWERS // (len(content.runs) + 1))
    chosen = _chosen(content, labels, max(1, limit))
    copies = _copies(shaped[chosen], _augment(changing)) if changing else shaped[:0]
    members = [run for run in content.runs if content.blend and run.folder in content.blend.units] or content.runs[:1]
    near = nearest([(run.rows, run.oof) for run in members], chosen, _NEAREST)
    ranked = [row for rank in zip_longest(*near) for row in rank if row is not None]  # the first ones of all come first
    rows = np.array([*dict.fromkeys([*chosen.tolist(), *ranked])][: max(len(chosen), room - len(copies))], np.int64)
    places = {row: place for place, row in enumerate(rows.tolist())}
    images = np.concatenate([shaped[rows], copies])[:, ::step, ::step]
    columns = min(50, len(images))
    return {
        "classes": data.class_names,
        "sprite": base64.b64encode(image_png(_sprite(images, columns))).decode(),
        "grid": [columns, -(-len(images) // columns)],
        "size": images.shape[1:3],
        "images": _named(chosen, labels),
        "others": _named(rows[len(chosen) :], labels),
        "near": [[places[row] for row in found if row in places] for found in near],
        "augmented": changing and [changing.name, len(rows), _COPIES],
        "curves": {value: training.template(value) for value in training.VALUES},
        "blend": predictions and _answers(predictions.rows, predictions.oof, labels, chosen),
        "runs": [_described(content, run) | _answers(run.rows, run.oof, labels, chosen) for run in content.runs],
    }


def _named(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> list[list[int]]:
    """Of images: row in the file, which begins with a header, and label."""
    named: list[list[int]] = np.stack([rows + 2, labels[rows]], axis=1).tolist()
    return named


def _chosen(content: Content, labels: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Rows of the images that are shown, at most `limit`: of each cell of the blend's confusions, and of each run."""
    worst = [_errors(run.rows, run.oof, labels, _ERRORS) for run in content.runs]
    order = [row for rank in zip_longest(*worst) for row in rank if row is not None]
    if content.predictions is not None:
        rows, oof = content.predictions.rows, content.predictions.oof
        wrong, predicted = most_confident_errors(oof, labels[rows], len(rows)), oof.argmax(axis=1)
        doubtful = np.argsort(oof.max(axis=1), kind="stable")
        right = doubtful[predicted[doubtful] == labels[rows][doubtful]]
        cells = pd.Series(labels[rows][wrong] * oof.shape[1] + predicted[wrong])
        ranks = cells.groupby(cells).cumcount().to_numpy()  # each cell gets its first image before any gets a second
        of_cells = wrong[np.argsort(ranks, kind="stable")][: (ranks < _IN_CELL).sum()]
        classes = pd.Series(labels[rows][right])
        of_classes = right[classes.groupby(classes).cumcount().to_numpy() < _RIGHT]
        order = [*rows[of_cells][: limit // 2], *rows[of_classes][: limit // 4], *order]
    found = [*dict.fromkeys(map(int, order))] or [int(content.runs[0].rows[0])]
    return np.array(found[:limit], np.int64)


def _augment(run: Run) -> dict[str, Any]:
    """How a run augments its images; {} if it does not, or if it is of another version."""
    augment = run.spec.model.get("augment") or {}
    return augment if augment.keys() == Augment.model_fields.keys() and any(augment.values()) else {}


def _copies(images: NDArray[np.uint8], augment: dict[str, Any]) -> NDArray[np.uint8]:
    """Augmented copies, (_COPIES * n, height, width, channels), of each image one after the other."""
    changed = augment_images(np.random.default_rng(0), np.repeat(images, _COPIES, axis=0), **augment)
    copies: NDArray[np.uint8] = np.rint(changed.clip(0, 255)).astype(np.uint8)
    return copies


def _errors(
    rows: NDArray[np.int64], oof: NDArray[np.floating], labels: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    found: NDArray[np.int64] = rows[most_confident_errors(oof, labels[rows], count)]
    return found


def _sprite(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images, (n, height, width, channels), side by side, as one of (rows * height, columns * width, channels)."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    full = np.zeros((rows * columns, height, width, channels), np.uint8)
    full[:count] = images
    grid = full.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def _answers(
    rows: NDArray[np.int64], oof: NDArray[np.floating], labels: NDArray[np.int64], chosen: NDArray[np.int64]
) -> dict[str, Any]:
    """Of a run or the blend; rows: (n,), ascending; oof: (n, classes); chosen: (images,).

    cells: [true class, predicted class, number of images], of errors alone if there are many classes. said: for each of
    the images, the most probable class, its probability in thousandths, and the same of the second one; None if it was
    not predicted out of fold.
    """
    classes = oof.shape[1]
    pairs, counts = np.unique(labels[rows] * classes + oof.argmax(axis=1), return_counts=True)
    cells = np.stack([*np.divmod(pairs, classes), counts], axis=1)
    if classes > _MATRIX:
        cells = cells[cells[:, 0] != cells[:, 1]]
        cells = cells[np.argsort(-cells[:, 2], kind="stable")][:_LISTED]
    places = np.searchsorted(rows, chosen).clip(max=len(rows) - 1)
    of_images = oof[places]
    top = np.argsort(-of_images, axis=1, kind="stable")[:, :2]
    shares = np.rint(1000 * np.take_along_axis(of_images, top, axis=1)).astype(int)
    said = np.stack([top, shares], axis=2).reshape(len(chosen), -1).tolist()
    known = rows[places] == chosen
    return {"cells": cells.tolist(), "said": [each if has else None for each, has in zip(said, known, strict=True)]}


def _described(content: Content, run: Run) -> dict[str, Any]:
    """Of a run: name, params in words, command (""; if params differ now), and curve: means of the folds by epoch.

    layers: see `_layers`. log: its last lines, fewer if there are many runs.
    """
    return {
        "name": run.name,
        "params": [*_params(run.spec.model)],
        "layers": _layers(content.data, run) if content.data and run.is_network else [],
        "command": _command(content, run),
        "curve": _curve(run.histories),
        "log": run.log[-max(1, _LOG_LINES // len(content.runs)) :],
    }


def _params(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in model.items():
        if key != "kind" and (words := in_words(value)):
            yield key.replace("_", " "), words


def in_words(value: Any) -> str:
    """A param: of TTA the number of views, of a section its values that are not 0; "" if it is not set."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return f"{len(value)} views"
    if isinstance(value, dict):
        named = ((name.replace("_", " "), in_words(each)) for name, each in value.items() if each or each == "")
        return ", ".join(words if name in ("name", "kind") else f"{name} {words}" for name, words in named) or "none"
    if isinstance(value, list):
        return ", ".join(map(in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _layers(data: Dataset, run: Run) -> list[list[Any]]:
    """Of each layer of a network: words, shape, weights, multiplications; [] if this version cannot read them."""
    with suppress(ValueError):
        rows = drawn(parse_layers(run.spec.model["layers"]), data.image_shape, data.classes, data.channels)
        return [[row.words, " × ".join(map(str, row.shape)), row.weights, row.multiplications] for row in rows]
    return []


def _command(content: Content, run: Run) -> str:
    params, model = content.params, run.spec.model
    section = params.train if run.is_network else params.baseline
    if (run.spec.seed, run.spec.normalise) != (section.seed, params.data.normalise):
        return ""
    if not run.is_network:
        spec = params.baseline.models.get(run.spec.name)
        return f"make baseline ONLY={run.spec.name}" if spec and spec.model_dump(mode="json") == model else ""
    name = namer(params, None, Path())(run.spec)
    known = name in {DEFAULT, *params.networks}
    return f'make train SET="train.candidates=[{name}] train.extra=[] train.epochs={model["epochs"]}"' if known else ""


def _curve(histories: Sequence[list[dict[str, float]]]) -> dict[str, list[float | None]]:
    tables = [pd.DataFrame(history) for history in histories]
    if not tables:
        return {}
    means = pd.concat(tables).groupby(level=0).mean().filter(items=_CURVES)
    means = means.iloc[:: -(-len(means) // _EPOCHS)]
    means.insert(0, "epoch", means.index + 1)
    return {
        str(name): [float(f"{value:.5g}") if np.isfinite(value) else None for value in column]
        for name, column in means.items()
    }
