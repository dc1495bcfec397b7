"""A saved blend, applied: the probabilities of new images by the fitted models of its members."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.sealed import intact
from digits.ensemble.blend import Blend, load_about, load_blend
from digits.ensemble.combine import Combination, WeightedMean, from_json
from digits.training.applying import FittedUnit, fitted_units, predict_units


class NoBlendError(UserError):
    """There is no finished blend yet."""


@dataclass(frozen=True)
class BlendOutput:
    """Probabilities of images: blended, (n, classes); models, (models, n, classes), by those that have a weight."""

    blended: NDArray[np.float64]
    models: NDArray[np.float32]


@dataclass(frozen=True)
class FittedBlend:
    """A blend with its models. about: of the data set, see `Dataset`. members: the units of each, by the run's name."""

    blend: Blend
    about: dict[str, Any]
    members: dict[str, list[FittedUnit]]

    @cached_property
    def combination(self) -> Combination:
        """From the members' probabilities to the blend's."""
        return from_json(self.blend.combination)

    @property
    def used(self) -> dict[str, list[FittedUnit]]:
        """The members that have a weight."""
        if not isinstance(self.combination, WeightedMean):
            return self.members
        weights = zip(self.members, self.combination.weights, strict=True)
        return {name: self.members[name] for name, weight in weights if weight}

    def predict(
        self,
        images: NDArray[np.uint8],
        workers: int = 1,
        on_unit: Callable[[FittedUnit], Any] = lambda _: None,
    ) -> BlendOutput:
        """Probabilities of images, uint8 (n, height * width * channels); workers, on_unit: see `predict_units`.

        For the competition's test images they are those of the submission, to the bit.
        """
        units = [unit for used in self.used.values() for unit in used]
        models = predict_units(units, self.about, images, workers, on_unit)
        means, first = {}, 0
        for name, used in self.used.items():
            means[name] = models[first : first + len(used)].mean(axis=0, dtype=np.float64)
            first += len(used)
        unused = np.zeros((len(images), self.about["classes"]))
        return BlendOutput(self.combination([means.get(name, unused) for name in self.members]), models)


def fitted_blend(runs: Path, name: str) -> FittedBlend:
    """The blend called `name` with its models. Raises UserError if there is none, or if a part is damaged."""
    blend = load_blend(runs, name) if intact(runs / name) else None
    if blend is None:
        raise UserError(f"there is no blend {name}; make runs lists what there is, make submit makes one")
    members = {member: fitted_units(runs / member, units) for member, units in blend.units.items()}
    return FittedBlend(blend, load_about(runs, name), members)


def newest_blend(runs: Path, slug: str = "", data: str = "") -> str:
    """Name of the blend that was made last for a competition; one of practice images only if there is no other.

    slug: of the competition; "": any. data: hash of the images that it must have been fitted on; "": of any. Raises
    NoBlendError if there is none.
    """
    found = {path.parent: load_about(runs, path.parent.name) for path in runs.glob("blend-*/about.json")}
    own = [path for path, about in found.items() if slug in ("", about.get("slug")) and about["hash"].startswith(data)]
    real = [path for path in own if found[path]["provenance"] != "practice"]
    newest = max(real or own, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise NoBlendError(f"there is no blend{' of ' * bool(slug)}{slug} yet; type: make submit")
    return newest.name
