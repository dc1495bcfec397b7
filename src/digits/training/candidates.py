"""The networks that `make train` may fit, and the runs of `make baseline`."""

from collections.abc import Iterable
from pathlib import Path

from digits.config import CnnSpec, MlpSpec, Params, validate
from digits.config.section import overlay
from digits.data.dataset import Dataset
from digits.training.runs import RunSpec, run_spec
from digits.training.tuned import TUNED, Study, study_of

Networks = dict[str, tuple[CnnSpec, str]]  # by name; the network and how images are normalised for it


def networks(params: Params, study: Study) -> tuple[Networks, Networks]:
    """The networks among which `make train` takes one, and those that are fitted beside it where there is time.

    The former: what a finished study found, and after it those of `train.candidates` that are known to be more
    accurate; or the network that the params name; or else all of `train.candidates`. None that the images are too small
    for.
    """
    spec, normalise, named = params.train.spec, params.data.normalise, params.train.network

    def fitting(names: Iterable[str]) -> Networks:
        found = {} if named else {name: params.network(name) for name in names}
        return {name: (network, normalise) for name, network in found.items() if params.fits(network)}

    among, beside = fitting(params.train.candidates), fitting(params.train.extra)
    if params.train.use_tuned and study.best:
        found = overlay(spec.model_dump(mode="json"), study.best)
        tuned = validate(CnnSpec, found, str(study.folder / "best.yaml"))
        known = accuracies(params, study)
        better = {name: network for name, network in among.items() if known.get(name, 0) > known.get(TUNED, 1)}
        return {TUNED: (tuned, study.normalise or normalise), **better}, beside
    return ({named: (spec, normalise)} if named else among), beside


def accuracies(params: Params, study: Study) -> dict[str, float]:
    """Of single fits on the competition's images, by network, as far as they were measured."""
    slug = params.competition.slug
    return params.train.measured_accuracy.get(slug, {}) | study.measured.get(slug, {})


def baseline_runs(params: Params, data: Dataset, studies: Path) -> list[RunSpec]:
    """The runs of `make baseline`: each model as params.yaml has it, or as a finished study found it."""
    found = []
    for name, spec in params.baseline.models.items():
        model = spec.model_dump(mode="json")
        if spec.kind == "mlp" and (best := study_of(params, data, studies, name).best):
            model = validate(MlpSpec, model | best, name).model_dump(mode="json")
        found.append(run_spec(name, model, params.data.normalise, params.baseline.seed, data))
    return found
