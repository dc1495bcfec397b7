"""The published recipes, read from the YAML files of this folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from digits.config import CnnSpec, MlpSpec, validate
from digits.config.section import Section, Share, overlay

FOLDER = Path(__file__).parent
_FILES = ("optimizers", "kaggle", "first", "tips", "fashion", "demonstrations")  # in the order of the tables

Figure = Literal["train", "test"]


class Published(Section):
    """Published accuracies, 0 to 1. train, test: on the recipe's own split. score: on Kaggle's leaderboard."""

    train: Share | None = None
    test: Share | None = None
    score: Share | None = None


class Recipe(Section):
    """One published recipe.

    id, section: in the published document. group: name of its YAML file. description: of the model, in a few words.
    data: digits or fashion. test_size: share of the labelled images that are test images. images: number of training
    images; None: all others. normalise, model: as in params.yaml, `model` with all parameters. tolerance: largest
    difference from a published accuracy that counts as met. why: what differs from the original. seeds: fewest fits.
    after: id of the recipe whose weights this one starts from; None: new weights.
    """

    id: str
    group: str
    after: str | None
    section: Annotated[int, Field(ge=1, le=5)]
    description: str
    data: Literal["digits", "fashion"]
    test_size: Annotated[float, Field(gt=0, lt=0.9)]
    normalise: Literal["/255", "/256", "standard", "minmax", "none"]
    tolerance: Annotated[float, Field(gt=0, le=0.2)]
    model: dict[str, Any]
    published: Published = Published()
    why: str = ""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    images: Annotated[int, Field(ge=100)] | None = None


def load_recipes() -> dict[str, Recipe]:
    """All recipes by id, in the order of the tables."""
    base = _read(FOLDER / "base.yaml")
    recipes = {}
    for group in _FILES:
        path = FOLDER / f"{group}.yaml"
        content = _read(path)
        for name, entry, after in [
            *((name, entry, None) for name, entry in content["recipes"].items()),
            *_races(content),
        ]:
            recipes[name] = parse(name, group, overlay(content["common"], entry), base, f"{path.name}: {name}", after)
    return recipes


def base_model(kind: str) -> dict[str, Any]:
    """All default parameters of a recipe's model. kind: cnn or mlp."""
    return _model({"kind": kind}, _read(FOLDER / "base.yaml"), "base.yaml")


def parse(
    name: str, group: str, entry: dict[str, Any], base: dict[str, Any], origin: str, after: str | None = None
) -> Recipe:
    """One recipe. base: default parameters by kind of model. origin: for messages.

    Raises UserError that names the key and the value that is not allowed.
    """
    recipe = validate(Recipe, entry | {"id": name, "group": group, "after": after}, origin)
    return recipe.model_copy(update={"model": _model(recipe.model, base, f"{origin}.model")})


def _model(given: dict[str, Any], base: dict[str, Any], origin: str) -> dict[str, Any]:
    kind = given.get("kind", "cnn")
    spec = validate(CnnSpec if kind == "cnn" else MlpSpec, overlay(base[kind], given), origin)
    return spec.model_dump(mode="json")


def _races(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """A recipe for each optimizer in each race; if weights are handed on, each starts from those of the one before.

    Published figures belong to one of the races.
    """
    for race in content.get("races", ()):
        before = None
        for optimizer, entry in content["optimizers"].items():
            kept = entry if race["published"] else {key: value for key, value in entry.items() if key != "published"}
            name = f"{race['prefix']}-{optimizer}"
            yield name, kept | {"data": race["data"], "seeds": race["seeds"]}, before
            before = name if race["handed_on"] else None


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
