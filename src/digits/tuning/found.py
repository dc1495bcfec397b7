"""What a search found, as a fragment of params.yaml that `make submit` takes as it is."""

from collections.abc import Mapping
from math import log

from digits.config import CnnSpec, Params
from digits.config.section import overlay
from digits.training.candidates import is_measured, learning_curves
from digits.training.learning_curves import LearningCurve
from digits.training.tuned import TUNED, Fragment
from digits.tuning.origin import Origin, differences
from digits.tuning.records import Overrides

_FURTHER = 2.5  # times the epochs that were compared: a submission has longer fits than its search has time for
_STEEPEST = 0.5  # largest power of the epochs; steeper is only the end of fits that have hardly begun


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
    by its epochs, as LearningCurve has them; origin.epochs is the highest. shares: of these errors that the network
    makes in the same time. Both follow a power of the epochs in longer fits, and nothing is known of fits that are more
    than _FURTHER times as long. Where the origin was measured on the competition, its curve in the params counts; where
    one length was compared, its curve from elsewhere, moved to its errors here.
    """
    curve = learning_curves(params, {origin.name: origin.spec})[origin.name]
    most, measured = _FURTHER * origin.epochs, {}
    if not is_measured(params, origin.name):
        here = LearningCurve(tuple(sorted(errors.items())))
        longer = LearningCurve((*here.measured, (most, _further(errors, most))))
        curve = longer if len(errors) > 1 else curve.times(*here.compared_with(curve))
        measured[origin.name] = _accuracies(curve)
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

    In shorter fits it is that of the longest ones that were compared; in longer ones it is no smaller, and it grows if
    it has grown from the length before: what wins short fits may lose long ones.
    """
    longest = max(shares)
    return max(shares[longest], _further(shares, max(epochs, longest)))


def _further(values: Mapping[float, float], epochs: float) -> float:
    """The value after so many epochs, if values go on as from the last but one number of epochs to the last.

    It is a power of the epochs, at most _STEEPEST: errors of longer and longer fits are nearly a line on logarithmic
    scales.
    """
    *before, last = sorted(values)
    if not before:
        return values[last]
    power = log(values[last] / values[before[-1]]) / log(last / before[-1])
    return float(values[last] * (epochs / last) ** min(max(power, -_STEEPEST), _STEEPEST))


def _accuracies(curve: LearningCurve, faster: float = 1.0) -> dict[int, float]:
    return {max(1, round(faster * epochs)): round(max(0.0, 1 - error), 5) for epochs, error in curve.measured}
