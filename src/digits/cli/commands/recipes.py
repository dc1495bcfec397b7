"""Fit the published recipes and write their accuracies beside the published ones."""

from typing import TYPE_CHECKING

from digits.cli.context import FASHION, RECIPES, Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.markdown import table as markdown_table
from digits.common.matching import select_names
from digits.data.dataset import Dataset
from digits.replication.findings import ranks, sentences
from digits.replication.fits import complete, units
from digits.replication.recipe import Recipe, load_recipes
from digits.replication.table import Row, markdown, rows_of, table

if TYPE_CHECKING:
    from digits.common.plots import Picture

_MOST_SEEDS = 10  # per recipe in the tables, where earlier commands have fitted so many
_TITLES = {
    "optimizers": "Optimizers",
    "kaggle": "digit-recognizer",
    "first": "First networks",
    "tips": "Lecture slides",
    "fashion": "Fashion-MNIST",
    "demonstrations": "Demonstrations",
}


def run(context: Context) -> Outcome:
    """Fit the recipes that ONLY names; write reports/recipes.csv, .md and the pictures of all finished recipes."""
    if context.params.competition.slug != RECIPES:
        raise UserError(f"the recipes are for {RECIPES}; type: make recipes, without PARAMS")
    recipes = load_recipes()
    chosen = _with_predecessors(recipes, select_names(context.only, [*recipes], "recipe"))
    datasets = context.recipe_data
    if "fashion" not in datasets and any(recipe.data == "fashion" for recipe in chosen):
        context.console.warn(
            "Fashion-MNIST is not prepared, so its recipes are left out. docs/competitions.md says how to get its "
            f"files; then type: make data PARAMS={FASHION} DATA=path/to/fashion-mnist.zip"
        )
    runs = context.paths.runs / "recipes"
    device = context.device
    chains = units(chosen, datasets, runs, context.seeds, device)
    if not chains:
        raise UserError("the data of these recipes is not prepared; make recipes without ONLY fits the others")
    fits = complete(chains, context.executor([None] * (device.gpus or device.parallel_fits)), context.console)
    # also the fits of earlier commands, of other recipes and from more seeds
    seeds = max(context.seeds or 0, _MOST_SEEDS)
    rows = rows_of(recipes.values(), units(recipes.values(), datasets, runs, seeds, device))
    measured = table(rows.values())
    write_atomic(context.paths.reports / "recipes.csv", measured.to_csv(index=False, lineterminator="\n"))
    pictures = _draw(rows, context)
    write_atomic(context.paths.reports / "recipes.md", _report(rows, context.data, pictures))
    judged = measured[measured["published"].notna()]
    met = int((judged["within"] == "yes").sum())
    return Outcome(
        f"{len(rows)} recipes, {met} of {len(judged)} published figures met within tolerance; reports/recipes.md, .csv",
        fits > 0,
    )


def _with_predecessors(recipes: dict[str, Recipe], names: list[str]) -> list[Recipe]:
    """The named recipes and those whose weights they start from, in the order of the tables."""
    wanted = set(names)
    for name in names:
        while (before := recipes[name].after) is not None:
            wanted.add(name := before)
    return [recipe for recipe in recipes.values() if recipe.id in wanted]


def _draw(rows: dict[str, Row], context: Context) -> "dict[str, Picture]":
    from digits.replication.plots import draw_recipes  # noqa: PLC0415 - Matplotlib takes a second

    return draw_recipes(rows, context.data, context.paths.runs / "recipes", context.paths.reports / "recipes")


def _report(rows: dict[str, Row], data: Dataset, pictures: "dict[str, Picture]") -> str:
    """reports/recipes.md: the findings, a table per group, the ranks of the optimizers, the pictures."""
    parts = ["# Published recipes, measured here"]
    if data.practice:
        parts.append("**Practice images: these figures mean nothing.**")
    parts.append("\n".join(f"- {sentence}" for sentence in sentences(rows)))
    for group, title in _TITLES.items():
        if own := [row for row in rows.values() if row.recipe.group == group]:
            parts += [f"## {title}", markdown(table(own))]
    races = {name: ranks(rows, name) for name in ("opt", "fair", "opt-fashion", "fair-fashion")}
    if all(races[name] for name in ("opt", "fair")):
        run = {name: ranking for name, ranking in races.items() if ranking}
        ranked = [(str(rank), *names) for rank, names in enumerate(zip(*run.values(), strict=True), 1)]
        parts += [
            "## Ranks of the optimizers",
            "opt: starts from the weights that the optimizer before has left; fair: starts from new weights",
            markdown_table(("rank", *run), ranked, "rl"),
        ]
    parts += [f"## {picture.title}\n\n![{picture.title}](recipes/{picture.path.name})" for picture in pictures.values()]
    return "\n\n".join(filter(None, parts)) + "\n"
