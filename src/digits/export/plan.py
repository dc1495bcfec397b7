"""What of a blend is exported: its best network, the blend itself, its scikit-learn models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from digits.ensemble.application import FittedBlend
from digits.ensemble.combine import PROBABILITIES, WeightedMean
from digits.evaluation.scoring import METRICS
from digits.training.applying import FittedUnit
from digits.training.runs import unit_metrics

NETWORK, BLEND = "network", "blend"  # starts of the names of files


@dataclass(frozen=True)
class Networks:
    """Networks that become one graph. title: for people. members: units of each member, none of one without a weight.

    combination: of the members, see `combine.from_json`.
    """

    title: str
    members: list[list[FittedUnit]]
    combination: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What becomes files, by the starts of their names.

    about: of the data set, see `Dataset`. graphs: NETWORK, the best one, and BLEND, as far as there are. baselines: one
    unit of each scikit-learn model. needed: those without which there is no blend, so that it is no graph.
    """

    about: dict[str, Any]
    graphs: dict[str, Networks]
    baselines: dict[str, FittedUnit]
    needed: list[str]


def make_plan(fitted: FittedBlend, tta: bool) -> Plan:
    """What is exported of a blend. tta: whether networks average over transformed copies."""
    blend, metric = fitted.blend, METRICS[fitted.blend.metric]
    networks = _as_exported({name: units for name, units in fitted.used.items() if _are_networks(units)}, tta)
    baselines = {name: _best(units) for name, units in fitted.members.items() if not _are_networks(units)}
    needed = [name for name in fitted.used if name in baselines]
    graphs = {}
    if networks:
        scores = {one.name: one.score for one in blend.contributions}
        run = max(networks, key=lambda name: metric.sign * scores[name])
        best, alone = _best(networks[run]), WeightedMean(np.ones(1), PROBABILITIES)
        title = f"{best.title}, the best network: CV {metric.title} {scores[run]:.5f}"
        graphs[NETWORK] = Networks(title, [[best]], alone.to_json())
    count = sum(map(len, networks.values()))
    if count > 1 and not needed:
        title = f"the blend, {count} networks: CV {metric.title} {blend.cv}"
        members = [networks.get(name, []) for name in fitted.members]
        graphs[BLEND] = Networks(title, members, blend.combination)
    return Plan(fitted.about, graphs, baselines, needed)


def _are_networks(units: Sequence[FittedUnit]) -> bool:
    return bool(units[0].spec.model["kind"] == "cnn")


def _as_exported(networks: dict[str, list[FittedUnit]], tta: bool) -> dict[str, list[FittedUnit]]:
    """Networks that compute as files do: in float32, and with TTA only if it is wanted."""
    changes: dict[str, Any] = {"precision": "float32", **({} if tta else {"tta": []})}
    for units in networks.values():  # TensorFlow has one number of threads in a process
        changes.setdefault("threads", units[0].spec.model["threads"])
    return {
        name: [replace(unit, spec=replace(unit.spec, model=unit.spec.model | changes)) for unit in units]
        for name, units in networks.items()
    }


def _best(units: Sequence[FittedUnit]) -> FittedUnit:
    """The longest refit, which has learned from all images, else the most accurate fold."""
    refits = [unit for unit in units if unit.folder.name.startswith("refit")]
    if refits:
        return max(refits, key=lambda unit: int(unit.folder.name.split("-")[2]))
    return max(units, key=lambda unit: unit_metrics(unit.folder)["accuracy"])
