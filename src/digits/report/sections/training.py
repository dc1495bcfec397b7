"""How the networks were trained: their settings and learning curves."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Any

import altair as alt

from digits.report.chart import ONE, TWO, Drawn, chart, declared, near, rows_of
from digits.report.gather import Content, Run
from digits.report.layout import Column, Figure, Section, Table

_SHOWN = 3  # runs
_HEIGHT = 180  # pixels
_WHOLE = "datum.value % 1 ? '' : format(datum.value, 'd')"  # a label of an axis
VALUES = ("loss", "share of errors")


def section(content: Content) -> Section:
    """The best networks' settings and learning curves, and the comparison of optimizers from the recipes."""
    result = Section("training", "How did training go?")
    trained = [run for run in content.runs if run.histories]
    if not trained:
        result.missing = "No network was trained yet; type make train."
    for run in trained[:_SHOWN]:
        model = run.spec.model
        result.sentences.append(
            f"{run.name}: optimizer {model['optimizer']['name']}, learning rate {model['learning_rate']:g}, batch size "
            f"{model['batch_size']}, {model['epochs']} epochs, precision {model['precision']}."
        )
        if len(run.histories[0]) > 1:
            result.figures += learning_curves(run)
    if any(map(_trains_on_harder_images, trained[:_SHOWN])):
        result.sentences.append(
            "Augmentation (random distortion) or label smoothing makes training images harder, so their loss is above "
            "that of validation images."
        )
    if race := content.recipe_pictures.get("race"):
        result.add_picture(race)
    return result


def _trains_on_harder_images(run: Run) -> bool:
    """Whether label smoothing or augmentation raises the training loss above the validation loss."""
    return bool(run.spec.model["label_smoothing"]) or any(run.spec.model["augment"].values())


def learning_curves(run: Run) -> list[Figure]:
    """Loss and share of errors by epoch, of each fold."""
    last = run.histories[0][-1]
    valid = f", {last['valid_accuracy']:.4f} on validation images" if "valid_accuracy" in last else ""
    titles = {
        "loss": f"{run.name}: loss of each fold, in nats",
        "share of errors": f"{run.name}: final accuracy {last['accuracy']:.4f} on training images{valid}; first fold",
    }
    tables = {value: Table(titles[value], _columns(value, _points(run.histories, value))) for value in VALUES}
    return [chart(titles[value], _drawn(value, table), _HEIGHT, table) for value, table in tables.items() if table.rows]


def template(value: str) -> dict[str, Any]:
    """A chart as in `learning_curves`, without its points: a script adds them."""
    return declared(f"{value} by epoch", _drawn(value, Table("", _columns(value, ()))), _HEIGHT)


def _points(histories: Sequence[list[dict[str, float]]], value: str) -> Iterator[tuple[str, int, str, float]]:
    """Of each fold, epoch and part of the images, a value that is above 0, which a logarithmic axis can show."""
    for fold, history in enumerate(histories, 1):
        for part, prefix in (("training", ""), ("validation", "valid_")):
            for epoch, record in enumerate(history, 1):
                number = record.get(f"{prefix}loss", 0) if value == "loss" else 1 - record.get(f"{prefix}accuracy", 1)
                if 0 < number < inf:
                    yield str(fold), epoch, part, number


def _columns(value: str, points: Iterable[tuple[Any, ...]]) -> dict[str, Column]:
    cells = [*zip(*points, strict=True)] or [()] * 4
    styles = {"fold": "", "epoch": "d", "images": "", value: ".4g"}
    return {name: (style, own) for (name, style), own in zip(styles.items(), cells, strict=True)}


def _drawn(value: str, table: Table) -> Drawn:
    base, tips = rows_of(table)
    parts, colours = ["training", "validation"], [ONE, TWO]
    axes = [
        alt.X("epoch:Q").axis(labelExpr=_WHOLE, tickMinStep=1).scale(zero=False, nice=False),
        alt.Y(f"{value}:Q").scale(type="log", nice=False).axis(format="~g", tickCount=5),
        alt.Color("images:N").scale(domain=parts, range=colours).legend(orient="top", title=None, symbolType="stroke"),
        alt.Detail("fold:N"),
    ]
    lines = base.mark_line().encode(*axes, alt.StrokeDash("images:N").scale(domain=parts))
    dots = base.mark_circle(opacity=1, size=25).encode(*axes, tooltip=tips)
    return alt.layer(lines, dots.add_params(near()))
