"""The networks that `make train` may fit, and the runs of `make baseline`."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from digits.common.errors import UserError
from digits.config import CnnSpec, Params
from digits.config.schema import DEFAULT
from digits.data.dataset import Dataset
from digits.training.device import Device
from digits.training.learning_curves import LearningCurve
from digits.training.runs import RunSpec, run_spec
from digits.training.tuned import tuned_params

_UNKNOWN = 0.02  # error rate of a network before the first one of a list of which none was measured
_LENGTHS = tuple(count / 20 for count in range(4, 21))  # of a fold's fit, as shares of a network's epochs
_BETTER = 0.95  # error rate of a network that was not measured, as a share of that of the one before it in the list

Networks = dict[str, CnnSpec]  # by name
Length = tuple[str, int]  # a network's name, and the epochs of a fold's fit, as in params


def networks(params: Params) -> tuple[Networks, Networks]:
    """The candidates, of which `make train` fits one, and the extra networks, which it fits too if there is time.

    If `train.network` names a network, it is the only candidate, and there are no extra networks. Otherwise they are
    those of `train.candidates`, the least accurate first, and of `train.extra`, without those that the images are too
    small for.
    """
    if params.train.network:
        return {params.train.network: params.train.spec}, {}

    def fitting(names: Iterable[str]) -> Networks:
        networks = {name: params.network(name) for name in names}
        return {name: network for name, network in networks.items() if params.fits(network)}

    return fitting(params.train.candidates), fitting(params.train.extra)


def is_measured(params: Params, name: str) -> bool:
    """Whether the accuracy of a network's fits was measured on the competition's images."""
    return name in params.train.measured_accuracy.get(params.competition.slug, {})


def learning_curves(params: Params, found: Networks) -> dict[str, LearningCurve]:
    """The learning curve of each network.

    A network that was not measured on this competition takes its curve from another one, or from before it was changed:
    longer fits and larger networks pay in a like order there. It is moved to the errors, and to the gain by longer
    fits, that a network measured on both competitions has here. One that was never measured is taken to be as good as
    its place in the list says: a little better, at its own epochs, than the one before.
    """
    measured = params.train.measured_accuracy
    here = measured.get(params.competition.slug, {})
    elsewhere: dict[str, float | Mapping[int, float]] = {}
    for accuracies in measured.values():
        elsewhere |= accuracies if accuracies is not here else {}

    def curve(name: str, accuracy: float | Mapping[int, float]) -> LearningCurve:
        return LearningCurve.of({found[name].epochs: accuracy} if isinstance(accuracy, float) else accuracy)

    own = {name: curve(name, here[name]) for name in found if name in here}
    others = {name: curve(name, elsewhere[name]) for name in found if name in elsewhere}
    moves = [own[name].compared_with(others[name]) for name in own if name in others]
    others = {name: each.times(*moves[0]) if moves else each for name, each in others.items()}
    curves: dict[str, LearningCurve] = {}
    error = _UNKNOWN
    for name, network in found.items():
        unknown = LearningCurve.of({network.epochs: 1 - error * _BETTER})
        curves[name] = own.get(name) or others.get(name) or unknown
        error = curves[name].measured_error(network.epochs)
    return curves


def network_runs(found: Networks, params: Params, data: Dataset, device: Device) -> dict[Length, RunSpec]:
    """A run for each network and length; the longest run of each network comes last."""
    runs: dict[Length, RunSpec] = {}
    for name, spec in found.items():
        resolved = device.resolve(spec)
        for epochs in dict.fromkeys(max(1, round(share * spec.epochs)) for share in _LENGTHS):
            model = resolved.model_copy(update={"epochs": epochs}).model_dump(mode="json")
            runs[name, epochs] = run_spec("cnn", model, params.data.normalise, params.train.seed, data)
    return runs


def baseline_runs(params: Params, data: Dataset) -> list[RunSpec]:
    """The runs of `make baseline`: the models of params.yaml."""
    models = {name: spec.model_dump(mode="json") for name, spec in params.baseline.models.items()}
    return [run_spec(name, model, params.data.normalise, params.baseline.seed, data) for name, model in models.items()]


def namer(params: Params, data: Dataset | None, studies: Path) -> Callable[[RunSpec], str]:
    """What gives the name of a run's network, for however many epochs; the run's own if the params have it no more.

    data: None: without what a search has found.
    """
    tuned = params
    with suppress(UserError):  # what a search found was edited, and is not valid any more
        tuned = tuned_params(params, data, studies) if data else params
    networks = {name: tuned.network(name).model_dump(mode="json") for name in (*tuned.networks, DEFAULT)}

    return lambda run: next((name for name, each in networks.items() if same_network(each, run.model)), run.name)


def same_network(network: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether a run's model is a network of the params, on whatever device and for however many epochs."""
    return all(value in ("auto", model.get(key)) for key, value in network.items() if key != "epochs")
