"""Published and measured figures, as tables for files and for readers."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from digits.common.markdown import table as markdown_table
from digits.replication.recipe import Recipe
from digits.replication.unit import Unit

COLUMNS = (
    "id",
    "section",
    "recipe",
    "data",
    "precision",  # of a network's multiplications
    "figure",  # accuracy on the training images (train) or the test images (test)
    "published",
    "measured",  # mean over seeds
    "sd",
    "count",
    "diverged",  # fits whose loss became infinite or nan; not in count
    "difference",
    "tolerance",
    "within",  # the tolerance: yes or no; blank if nothing was published
    "why",
    "minutes",  # of all fits, one after the other
)


@dataclass(frozen=True)
class Row:
    """A recipe with its finished units and their results, as Unit.result has them."""

    recipe: Recipe
    units: tuple[Unit, ...]
    results: tuple[dict[str, Any], ...]

    def values(self, figure: str) -> list[float]:
        """Accuracies of the fits that did not diverge. figure: train or test."""
        return [result[figure] for result in self.results if result[figure] is not None]

    def mean(self, figure: str = "test", diverged: float = 0.0) -> float:
        """Mean accuracy of these fits; `diverged` if there is none. figure: train or test."""
        return float(np.mean(self.values(figure) or [diverged]))


def rows_of(recipes: Iterable[Recipe], chains: Sequence[Sequence[Unit]]) -> dict[str, Row]:
    """Rows of the recipes that have a finished fit, by id."""
    fitted: dict[str, list[tuple[Unit, dict[str, Any]]]] = {}
    for unit in itertools.chain.from_iterable(chains):
        if (result := unit.result) is not None:
            fitted.setdefault(unit.recipe.id, []).append((unit, result))
    return {recipe.id: Row(recipe, *zip(*fitted[recipe.id], strict=True)) for recipe in recipes if recipe.id in fitted}


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """A line per published figure; a recipe without any has one line, with its accuracy on the test images."""
    lines = []
    for row in rows:
        published = row.recipe.published.model_dump(include={"train", "test"}, exclude_none=True)
        for figure in published or ("test",):
            lines.append(_line(row, figure, published.get(figure)))
    return pd.DataFrame(lines, columns=COLUMNS)


def _line(row: Row, figure: str, published: float | None) -> dict[str, Any]:
    values, recipe = row.values(figure), row.recipe
    mean = float(np.mean(values)) if values else None
    difference = mean - published if mean is not None and published is not None else None
    within = (
        "" if published is None else "yes" if difference is not None and abs(difference) <= recipe.tolerance else "no"
    )
    return {
        "id": recipe.id,
        "section": recipe.section,
        "recipe": recipe.description,
        "data": recipe.data,
        "precision": row.units[0].model.get("precision", ""),
        "figure": figure,
        "published": published,
        "measured": mean,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "count": len(values),
        "diverged": len(row.results) - len(values),
        "difference": difference,
        "tolerance": recipe.tolerance if published is not None else None,
        "within": within,
        "why": _why(recipe, difference) if within == "no" else "",
        "minutes": sum(result["seconds"] for result in row.results) / 60,
    }


def _why(recipe: Recipe, difference: float | None) -> str:
    """Why a figure was missed. The recipe's reason explains a better accuracy only if much depends on the seed."""
    if difference is None:
        return "every fit diverged"
    return recipe.why if difference < 0 or recipe.seeds > 1 else "better than published"


def markdown(board: pd.DataFrame) -> str:
    """The table for readers, in Markdown, with figures rounded to four digits."""
    titles = ("id", "recipe", "figure", "published", "measured (sd, n)", "difference", "within", "minutes")
    rows = []
    for record in board.to_dict("records"):
        line = SimpleNamespace(**{str(name): value for name, value in record.items()})
        measured = "diverged" if line.count == 0 else f"{line.measured:.4f}"
        if line.count > 1:
            measured += f" ({line.sd:.4f}, {line.count})"
        if line.count and line.diverged:
            measured += f", {line.diverged} diverged"
        cells = [
            line.id,
            line.recipe,
            line.figure,
            _number(line.published, ".4f"),
            measured,
            _number(line.difference, "+.4f"),
            f"{line.within}: {line.why}" if line.why else line.within,
            f"{line.minutes:.1f}",
        ]
        rows.append(cells)
    return markdown_table(titles, rows, "lllrrrlr")


def _number(value: float | None, style: str) -> str:
    return "" if value is None or pd.isna(value) else format(value, style)
