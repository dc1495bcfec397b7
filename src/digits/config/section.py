"""What all sections of params.yaml have in common, and the types of values that occur in several."""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


def overlay(below: dict[str, Any], above: dict[str, Any], whole: Collection[str] = (), key: str = "") -> dict[str, Any]:
    """`above` over `below`, dictionary by dictionary.

    Replaced as a whole are those whose full key is in `whole`, and those that are of another sort, as a schedule of
    another kind or an optimizer of another name: what the one below it says means nothing to them.
    """
    merged = dict(below)
    for name, value in above.items():
        path, other = f"{key}.{name}" if key else name, below.get(name)
        if isinstance(value, dict) and isinstance(other, dict) and path not in whole and _same_sort(other, value):
            merged[name] = overlay(other, value, whole, path)
        else:
            merged[name] = value
    return merged


def _same_sort(below: dict[str, Any], above: dict[str, Any]) -> bool:
    return all(above.get(tag, below.get(tag)) == below.get(tag) for tag in ("kind", "name"))


class Section(BaseModel):
    """Frozen; unknown keys and wrong types are refused, and nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# YAML has lists only; inside, the elements stay strict.
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(strict=False, min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Share = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=10)]


class Augment(Section):
    """Largest random distortions of a training image, and the sd of its elastic field; see models.augmentation."""

    rotation: Annotated[float, Field(ge=0, le=180)]
    zoom: Share
    shear: Annotated[float, Field(ge=0, le=60)]
    shift: Annotated[float, Field(ge=0, le=100)]
    elastic: Annotated[float, Field(ge=0, le=10)]
