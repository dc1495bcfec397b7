"""The recipes, as the YAML files of this folder have them."""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """Accuracies that the original reports, 0 to 1; score: on Kaggle's leaderboard."""

    train: Share | None = None
    test: Share | None = None
    score: Share | None = None


class _Entry(Section):
    section: Annotated[int, Field(ge=1, le=5)]
    words: str
    data: Literal["digits", "fashion"]
    held: Annotated[float, Field(gt=0, lt=0.9)]
    normalise: Literal["/255", "/256", "standard", "minmax", "none"]
    tolerance: Annotated[float, Field(gt=0, le=0.2)]
    model: dict[str, Any]
    published: Published = Published()
    why: str = ""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    images: Annotated[int, Field(ge=100)] | None = None


@dataclass(frozen=True)
class Recipe:
    """One row of the study.

    id, section: in the published recipes. group: file that it stands in. words: what it is. data: digits or fashion.
    held: share of the labelled images that is kept aside. images: of the others, so many are learned from; None: all.
    normalise, model: as in params.yaml, `model` with every parameter. published: what the original reports. tolerance:
    how far an accuracy may be from it. why: what differs from the original. seeds: it needs at least. after: id of the
    recipe whose trained weights it goes on with.
    """

    id: str
    section: int
    group: str
    words: str
    data: str
    held: float
    normalise: str
    model: dict[str, Any]
    published: Published
    tolerance: float
    why: str
    seeds: int
    images: int | None
    after: str | None


def load_recipes() -> dict[str, Recipe]:
    """All recipes by id, in the order of their tables."""
    base = _read(FOLDER / "base.yaml")
    found = {}
    for group in _FILES:
        path = FOLDER / f"{group}.yaml"
        content = _read(path)
        for name, entry, after in [*_rows(content), *_races(content)]:
            found[name] = parse(name, group, overlay(content["common"], entry), base, f"{path.name}: {name}", after)
    return found


def base_model(kind: str) -> dict[str, Any]:
    """What a recipe's model of a kind, cnn or mlp, has where the recipe says nothing else."""
    found: dict[str, Any] = _read(FOLDER / "base.yaml")[kind]
    return parse("base", "base", _NEUTRAL | {"model": found}, {kind: found}, "base.yaml").model


_NEUTRAL = {"section": 4, "words": "", "data": "digits", "held": 0.5, "normalise": "none", "tolerance": 0.01}


def parse(
    name: str, group: str, entry: dict[str, Any], base: dict[str, Any], origin: str, after: str | None = None
) -> Recipe:
    """One recipe. base: models' defaults, by kind. Raises UserError, beginning with `origin`, for what cannot be."""
    checked = validate(_Entry, entry, origin)
    kind = checked.model.get("kind", "cnn")
    spec = validate(CnnSpec if kind == "cnn" else MlpSpec, overlay(base[kind], checked.model), f"{origin}.model")
    return Recipe(
        id=name,
        section=checked.section,
        group=group,
        words=checked.words,
        data=checked.data,
        held=checked.held,
        normalise=checked.normalise,
        model=spec.model_dump(mode="json"),
        published=checked.published,
        tolerance=checked.tolerance,
        why=checked.why,
        seeds=checked.seeds,
        images=checked.images,
        after=after,
    )


def _rows(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], None]]:
    for name, entry in content["rows"].items():
        yield name, entry, None


def _races(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Each racer in each race; where the network is handed on, each but the first goes on with the weights before."""
    for race in content.get("races", ()):
        before = None
        for racer, entry in content["racers"].items():
            kept = entry if race["published"] else {key: value for key, value in entry.items() if key != "published"}
            name = f"{race['prefix']}-{racer}"
            yield name, kept | {"data": race["data"], "seeds": race["seeds"]}, before
            before = name if race["handed_on"] else None


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
