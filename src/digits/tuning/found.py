"""What a search found, as a fragment of params.yaml that `make submit` takes as it is."""

from collections.abc import Mapping
from math import exp, log

from digits.config import CnnSpec, Params
from digits.config.section import overlay
from digits.training.candidates import is_measured, learning_curves
from digits.training.learning_curves import LearningCurve
from digits.training.tuned import TUNED, Fragment
from digits.tuning.origin import Origin, differences
from digits.tuning.records import Overrides

_FURTHER = 2.5  # times the epochs that were compared: a submission has longer fits than its search has time for


def network_fragment(
    params: Params,
    origin: Origin,
    overrides: Overrides,
    epochs: float,
    errors: Mapping[float, float],
    shares: Mapping[float, float],
) -> Fragment:
    """The network of `overrides` as a candidate, with its accuracy on the same footing as the others'.

    epochs: of the network's fits in the time in which the origin's have origin.epochs. errors: the origin's error rates
    after some epochs, as LearningCurve has them. shares: of the origin's errors that the network makes in the same
    time, by the origin's epochs; origin.epochs is the highest. Fits of up to _FURTHER times the epochs may be planned.
    Where the origin was never measured on the competition, its learning curve from elsewhere is moved to its errors
    here.
    """
    curve = learning_curves(params, {origin.name: origin.spec})[origin.name]
    measured = {}
    if not is_measured(params, origin.name):
        here = LearningCurve(tuple(sorted(errors.items())))
        curve = curve.times(*here.compared_with(curve))
        measured[origin.name] = _accuracies(curve)
    most = _FURTHER * origin.epochs
    lengths = sorted({*(each for each, _ in curve.measured if each < most), origin.epochs, most})
    own = LearningCurve(tuple((each, curve.measured_error(each) * _share(shares, each)) for each in lengths))
    measured[TUNED] = _accuracies(own, epochs / origin.epochs)
    tuned = CnnSpec.model_validate(overlay(origin.spec.model_dump(mode="json"), overrides))
    network = differences(tuned, params.train.spec) | {"epochs": max(1, round(_FURTHER * epochs))}
    train = {"measured_accuracy": {params.competition.slug: measured}}
    if params.train.network:
        return {"train": {"network": TUNED, **network, **train}}
    return {"networks": {TUNED: network}, "train": {"candidates": [*params.train.candidates, TUNED], **train}}


def _share(shares: Mapping[float, float], epochs: float) -> float:
    """Share of the origin's errors in the time in which the origin has so many epochs.

    In shorter fits it is that of the longest ones that were compared. In longer ones the gain goes on to shrink as it
    has from the length before to the longest, if it has: what wins short fits may lose long ones.
    """
    *before, last = sorted(shares)
    gain = -log(shares[last])
    if epochs <= last or not before or gain >= (earlier := -log(shares[before[-1]])):
        return shares[last]
    return exp(-gain * (gain / earlier) ** (log(epochs / last) / log(last / before[-1])))


def _accuracies(curve: LearningCurve, faster: float = 1.0) -> dict[int, float]:
    return {max(1, round(faster * epochs)): round(1 - error, 5) for epochs, error in curve.measured}
