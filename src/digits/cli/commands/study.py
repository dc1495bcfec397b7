"""Run the published recipes, and write what was measured beside what was published."""

from typing import TYPE_CHECKING

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.matching import choose
from digits.data.dataset import Dataset, load_dataset
from digits.replication.findings import ranks, sentences
from digits.replication.fits import complete, units
from digits.replication.recipe import Recipe, load_recipes
from digits.replication.table import Row, markdown, rows_of, table

if TYPE_CHECKING:
    from digits.common.plots import Picture

_DIGITS, _FASHION = "digit-recognizer", "params.fashion-mnist.yaml"
_STORED = 10  # seeds that are looked for
_TITLES = {
    "optimizers": "Optimizers",
    "kaggle": "digit-recognizer",
    "first": "First networks",
    "tips": "Lecture slides",
    "fashion": "Fashion-MNIST",
    "demonstrations": "Demonstrations",
}


def run(context: Context) -> Outcome:
    """Fit all recipes, or those of ONLY; make reports/study.csv, .md and the pictures of all that are fitted."""
    if context.params.competition.slug != _DIGITS:
        raise UserError(f"study: its recipes are about {_DIGITS}; type: make study, without PARAMS")
    recipes = load_recipes()
    chosen = _with_what_they_need(recipes, choose(context.only, [*recipes], "recipe"))
    data = {"digits": context.data}
    if fashion := _fashion(context):
        data["fashion"] = fashion
    elif any(recipe.data == "fashion" for recipe in chosen):
        context.console.warn(
            "Fashion-MNIST is not prepared here, so its recipes are left out; get it from "
            "kaggle.com/datasets/zalando-research/fashionmnist, as train.csv and test.csv in a zip, then type: "
            f"make data PARAMS={_FASHION} DATA=path/to/fashion-mnist.zip"
        )
    runs = context.paths.runs / "study"
    device = context.device
    chains = units(chosen, data, runs, context.seeds, device)
    if not chains:
        raise UserError("study: none of these recipes can be run here")
    fits = complete(chains, device.at_once, context.console)
    # all that are fitted, from as many seeds as ever were asked for, within reason
    rows = rows_of(recipes.values(), units(recipes.values(), data, runs, max(context.seeds or 0, _STORED), device))
    board = table(rows.values())
    write_atomic(context.paths.reports / "study.csv", board.to_csv(index=False, lineterminator="\n"))
    pictures = _draw(rows, context)
    write_atomic(context.paths.reports / "study.md", _report(rows, context.data, pictures))
    judged = board[board["published"].notna()]
    met = int((judged["within"] == "yes").sum())
    return Outcome(
        f"{len(rows)} recipes, {met} of {len(judged)} published figures met within tolerance; reports/study.md, .csv",
        fits > 0,
    )


def _with_what_they_need(recipes: dict[str, Recipe], names: list[str]) -> list[Recipe]:
    """The recipes of these names, and those whose weights they go on with, in the order of the tables."""
    wanted = set(names)
    for name in names:
        while (before := recipes[name].after) is not None:
            wanted.add(name := before)
    return [recipe for recipe in recipes.values() if recipe.id in wanted]


def _fashion(context: Context) -> Dataset | None:
    """Fashion-MNIST, where `make data` has prepared it; the newest."""
    folders = sorted(context.paths.processed.glob("fashion-mnist-*/about.json"), key=lambda path: path.stat().st_mtime)
    found = [load_dataset(path.parent) for path in folders]
    return next((data for data in reversed(found) if not data.practice), None)


def _draw(rows: dict[str, Row], context: Context) -> "dict[str, Picture]":
    from digits.replication.plots import draw_recipes  # noqa: PLC0415 - Matplotlib takes a second

    return draw_recipes(rows, context.data, context.paths.runs / "study", context.paths.reports / "study")


def _report(rows: dict[str, Row], data: Dataset, pictures: "dict[str, Picture]") -> str:
    """The page: what is shown, the tables, the ranks, the pictures."""
    parts = ["# Published recipes, measured here"]
    if data.practice:
        parts.append("**Practice images: these figures mean nothing.**")
    parts.append("\n".join(f"- {sentence}" for sentence in sentences(rows)))
    for group, title in _TITLES.items():
        if own := [row for row in rows.values() if row.recipe.group == group]:
            parts += [f"## {title}", markdown(table(own))]
    races = {name: ranks(rows, name) for name in ("opt", "fair", "opt-fashion", "fair-fashion")}
    if all(races[name] for name in ("opt", "fair")):
        shown = {name: found for name, found in races.items() if found}
        lines = [f"| rank | {' | '.join(shown)} |", "|---:|" + "---|" * len(shown)]
        lines += [f"| {rank} | {' | '.join(each)} |" for rank, each in enumerate(zip(*shown.values(), strict=True), 1)]
        parts += ["## Ranks of the optimizers", "opt: one network handed on; fair: fresh weights", "\n".join(lines)]
    parts += [f"## {each.title}\n\n![{each.title}](study/{each.path.name})" for each in pictures.values()]
    return "\n\n".join(filter(None, parts)) + "\n"
