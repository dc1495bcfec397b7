"""What a search found, as a fragment of params.yaml that `make submit` takes as it is."""

from collections.abc import Mapping

from digits.config import CnnSpec, Params
from digits.config.section import overlay
from digits.training.candidates import is_measured, learning_curves
from digits.training.learning_curves import LearningCurve
from digits.training.tuned import TUNED, Fragment
from digits.tuning.origin import Origin, differences
from digits.tuning.records import Overrides

_FURTHER = 1.6  # times the epochs that were compared; refits, too, have so many times the epochs of a fold's fit


def network_fragment(
    params: Params, origin: Origin, overrides: Overrides, epochs: float, errors: Mapping[float, float], share: float
) -> Fragment:
    """The network of `overrides` as a candidate, with its accuracy on the same footing as the others'.

    epochs: of the network's fits in the time in which the origin's have origin.epochs. errors: the origin's error rates
    after some epochs, as LearningCurve has them. share: of the origin's errors that the network makes. It is taken to
    make the same share in shorter fits, and in longer ones up to _FURTHER: what wins short fits may lose long ones.
    Where the origin was never measured on the competition, its learning curve from elsewhere is moved to its errors
    here.
    """
    curve = learning_curves(params, {origin.name: origin.spec})[origin.name]
    measured = {}
    if not is_measured(params, origin.name):
        here = LearningCurve(tuple(sorted(errors.items())))
        curve = curve.times(*here.compared_with(curve))
        measured[origin.name] = _accuracies(curve)
    faster = epochs / origin.epochs
    measured[TUNED] = _accuracies(curve.until(_FURTHER * origin.epochs).times(share), faster)
    tuned = CnnSpec.model_validate(overlay(origin.spec.model_dump(mode="json"), overrides))
    network = differences(tuned, params.train.spec) | {"epochs": max(1, round(_FURTHER * epochs))}
    train = {"measured_accuracy": {params.competition.slug: measured}}
    if params.train.network:
        return {"train": {"network": TUNED, **network, **train}}
    return {"networks": {TUNED: network}, "train": {"candidates": [*params.train.candidates, TUNED], **train}}


def _accuracies(curve: LearningCurve, faster: float = 1.0) -> dict[int, float]:
    return {max(1, round(faster * epochs)): round(1 - error, 5) for epochs, error in curve.measured}
