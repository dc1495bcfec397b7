"""The base class of all sections of params.yaml, value types that several of them share, and how two are merged."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Replacement(dict[str, Any]):
    """A section that `overlay` puts in place of the one below it, instead of merging the two."""


def overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` merged into `below`, section by section, as a new dictionary; each Replacement becomes a plain section.

    A section of `above` replaces the one below if it is a Replacement or has another `kind` or `name`: the parameters
    of a one-cycle schedule mean nothing to a plateau schedule.
    """
    merged = dict(below)
    for key, value in above.items():
        merged[key] = overlay(_beneath(below.get(key), value), value) if isinstance(value, dict) else value
    return merged


def _beneath(below: Any, above: dict[str, Any]) -> dict[str, Any]:
    """The section that `above` is merged into; {} if `above` replaces it."""
    if not isinstance(below, dict) or isinstance(above, Replacement):
        return {}
    same_sort = all(above.get(tag, below.get(tag)) == below.get(tag) for tag in ("kind", "name"))
    return below if same_sort else {}


class Section(BaseModel):
    """A frozen section; unknown keys and values of a wrong type are refused, nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# YAML has lists, not tuples, so the tuple is not strict; its elements are.
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(strict=False, min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Share = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=10)]


class Augment(Section):
    """Random augmentation of the training images; see digits.models.augmentation.

    The largest rotation and shear in degrees, zoom as a share of the size, shift in pixels; elastic: the standard
    deviation of the smooth random field of displacements, in pixels; flip: whether half of the images are mirrored,
    left to right.
    """

    rotation: Annotated[float, Field(ge=0, le=180)]
    zoom: Share
    shear: Annotated[float, Field(ge=0, le=60)]
    shift: Annotated[float, Field(ge=0, le=100)]
    elastic: Annotated[float, Field(ge=0, le=10)]
    flip: bool
