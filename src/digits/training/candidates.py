"""The networks that `make train` may fit, and the runs of `make baseline`."""

from collections.abc import Iterable
from pathlib import Path

from digits.config import CnnSpec, MlpSpec, Params, validate
from digits.config.schema import DEFAULT
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.training.runs import RunSpec, run_spec
from digits.training.tuned import TUNED, Study, study_of

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
        known = accuracies(params) if searched in found else {}
        found = {name: network for name, network in found.items() if name == searched or name in known}
        found[searched] = (tuned, study.normalise or normalise)
        found = {TUNED if name == searched else name: network for name, network in found.items()}
    return found, extra


def accuracies(params: Params) -> dict[str, float]:
    """Measured accuracies of single fits on the competition's images, by network."""
    return params.train.measured_accuracy.get(params.competition.slug, {})


def baseline_runs(params: Params, data: Dataset, studies: Path) -> list[RunSpec]:
    """The runs of `make baseline`: the models of params.yaml, each with the overrides that a finished study found."""
    runs = []
    for name, spec in params.baseline.models.items():
        model = spec.model_dump(mode="json")
        if spec.kind == "mlp" and (best := study_of(params, data, studies, name).best):
            model = validate(MlpSpec, model | best, name).model_dump(mode="json")
        runs.append(run_spec(name, model, params.data.normalise, params.baseline.seed, data))
    return runs
