"""The networks that `make train` may fit, and the runs of `make baseline`."""

from collections.abc import Iterable
from pathlib import Path

from digits.config import CnnSpec, MlpSpec, Params, validate
from digits.config.schema import DEFAULT
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.training.learning_curves import LearningCurve
from digits.training.runs import RunSpec, run_spec
from digits.training.tuned import TUNED, Study, study_of

_UNKNOWN = 0.02  # error rate of a network before the first one of a list of which none was measured
_BETTER = 0.95  # error rate of a network that was not measured, as a share of that of the one before it in the list

Networks = dict[str, tuple[CnnSpec, str]]  # by name: the network, and how images are normalised for it


def networks(params: Params, study: Study) -> tuple[Networks, Networks]:
    """The candidates, of which `make train` fits one, and the extra networks, which it fits too if there is time.

    If `train.network` names a network, it is the only candidate, and there are no extra networks. Otherwise they are
    those of `train.candidates`, the least accurate first, and of `train.extra`, without those that the images are too
    small for. The network that a finished study found is known to be better than the one that the search started from,
    but not how it compares with others. So it takes that one's place, and of the other candidates only those stay that
    were measured on the competition's images.
    """
    spec, normalise, named = params.train.spec, params.data.normalise, params.train.network

    def fitting(names: Iterable[str]) -> Networks:
        networks = {} if named else {name: params.network(name) for name in names}
        return {name: (network, normalise) for name, network in networks.items() if params.fits(network)}

    candidates, extra = fitting(params.train.candidates), fitting(params.train.extra)
    found: Networks = {named: (spec, normalise)} if named else candidates
    if params.train.use_tuned and study.best:
        overlaid = overlay(spec.model_dump(mode="json"), study.best)
        tuned = validate(CnnSpec, overlaid, str(study.folder / "best.yaml"))
        searched = named or DEFAULT
        kept = [name for name in found if searched in found and (name == searched or is_measured(params, name))]
        found = {name: found[name] for name in kept}
        found[searched] = (tuned, study.normalise or normalise)
        found = {TUNED if name == searched else name: network for name, network in found.items()}
    return found, extra


def is_measured(params: Params, name: str) -> bool:
    """Whether the accuracy of a network's fits was measured on the competition's images."""
    return name in params.train.measured_accuracy.get(params.competition.slug, {})


def learning_curves(params: Params, found: Networks) -> dict[str, LearningCurve]:
    """The learning curve of each network.

    A network that was not measured on this competition takes its curve from another one, or from before it was changed:
    longer fits and larger networks pay in a like order there. One that was never measured is taken to be as good as its
    place in the list says: a little better, at its own epochs, than the one before. A tuned one is no worse than the
    default that it replaces.
    """
    measured = params.train.measured_accuracy
    known: dict[str, float | dict[int, float]] = {}
    for elsewhere in (*measured.values(), measured.get(params.competition.slug, {})):
        known |= elsewhere
    curves: dict[str, LearningCurve] = {}
    error = _UNKNOWN
    for name, (network, _) in found.items():
        accuracy = known.get(DEFAULT if name == TUNED else name, 1 - error * _BETTER)
        curves[name] = LearningCurve.of(accuracy if isinstance(accuracy, dict) else {network.epochs: accuracy})
        error = curves[name].measured_error(network.epochs)
    return curves


def baseline_runs(params: Params, data: Dataset, studies: Path) -> list[RunSpec]:
    """The runs of `make baseline`: the models of params.yaml, each with the overrides that a finished study found."""
    runs = []
    for name, spec in params.baseline.models.items():
        model = spec.model_dump(mode="json")
        if spec.kind == "mlp" and (best := study_of(params, data, studies, name).best):
            model = validate(MlpSpec, model | best, name).model_dump(mode="json")
        runs.append(run_spec(name, model, params.data.normalise, params.baseline.seed, data))
    return runs
