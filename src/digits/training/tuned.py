"""The folder of a `make tune` study, with what it found, for commands that do not search."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from digits.common.code_version import code_version
from digits.common.errors import UserError
from digits.common.files import fingerprint, write_atomic
from digits.common.sealed import read_json, write_json
from digits.config import Params, validate
from digits.config.section import overlay
from digits.data.dataset import Dataset

TUNED = "tuned"  # name of the network that a study found
_FOUND = "found.json"  # the fragment, for commands
_WITHOUT = "add SET=train.use_tuned=false"
Fragment = dict[str, Any]  # sections of params.yaml with only what differs
_HEADER = """\
# What `make tune` found, as a fragment of params.yaml, to be copied there for good. With the same params and data it is
# used anyway, from found.json beside this file, while train.use_tuned is true.
"""
# the length and place of a search, and its number of processes, do not change the result of a trial
_NOT_DECISIVE = {"model", "budget", "workers", "storage", "n_trials"}
# what is fitted follows from these, but no network's own fit
_OF_PLANS = {"budget", "candidates", "extra", "measured_accuracy", "refits", "use_tuned"}


@dataclass(frozen=True)
class Study:
    """The study of one model, with its data set and search space.

    model: `train`, or a baseline's name. search: fingerprint of what is searched, without the version of the code.
    """

    folder: Path
    model: str
    search: str = ""

    @property
    def name(self) -> str:
        """Name in its database."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """The study's own database, used unless tune.storage names another."""
        return self.folder / "study.db"

    @property
    def found_file(self) -> Path:
        """The fragment for people, with the verdict."""
        return self.folder / "best.yaml"

    @cached_property
    def fragment(self) -> Fragment | None:
        """What was found; {} if nothing better was, None before the end. Read once. Raises UserError if it is lost."""
        if content := read_json(self.folder / _FOUND):
            found: Fragment = yaml.safe_load(content["params.yaml"])
            return found
        if self.lost:
            raise UserError(f"{self.folder / _FOUND} is lost; type make tune, which writes it again, or {_WITHOUT}")
        return None

    @property
    def lost(self) -> bool:
        """Whether the fragment was written and cannot be read any more."""
        return self.found_file.exists() and read_json(self.folder / _FOUND) is None

    @property
    def best(self) -> dict[str, Any]:
        """The parameters that differ from the model's own; {} if nothing better was found, and before the end."""
        found = self.fragment or {}
        if self.model != "train":
            found = found.get("baseline", {}).get("models", {}).get(self.model, {})
            return dict(found)
        network = found.get("networks", {}).get(TUNED) or found.get("train", {})
        return {name: value for name, value in network.items() if name not in _OF_PLANS | {"network"}}

    def save(self, fragment: Fragment, comment: str) -> None:
        """Write what was found; {}: nothing better."""
        self.__dict__.pop("fragment", None)
        notes = "".join(f"# {line}\n" for line in comment.splitlines())
        text = yaml.safe_dump(fragment, sort_keys=False)
        write_json(self.folder / _FOUND, {"params.yaml": text})
        write_atomic(self.found_file, _HEADER + notes + text)


def tuned_params(params: Params, data: Dataset, studies: Path) -> Params:
    """The params with what the finished studies of these params and data found, unless train.use_tuned is false.

    Raises UserError if what was found is not valid, as after an edit.
    """
    tuned = params
    for study in studies_of(params, data, studies) if params.train.use_tuned else []:
        if study.fragment:
            tuned = validate(Params, overlay(tuned.model_dump(), study.fragment), str(study.found_file))
    return tuned


def studies_of(params: Params, data: Dataset, studies: Path) -> list[Study]:
    """The studies of all models that can be searched; the network's comes first."""
    models = ["train", *(name for name, spec in params.baseline.models.items() if spec.kind == "mlp")]
    return [study_of(params, data, studies, model) for model in models]


def study_of(params: Params, data: Dataset, studies: Path, model: str) -> Study:
    """The study of a model: `train`, or the name of a baseline.

    The same params, data and code give the same study on every machine, because an `auto` counts as `auto`.
    """
    searched: dict[str, Any]
    if model == "train":
        searched = {"train": params.train.model_dump(mode="json", exclude=_OF_PLANS), "networks": params.networks}
    else:
        searched = {"model": params.baseline.models[model].model_dump(mode="json"), "seed": params.train.seed}
    decisive = {
        "data": data.hash,
        "normalise": params.data.normalise,
        **searched,
        "tune": params.tune.model_dump(mode="json", exclude=_NOT_DECISIVE),
    }
    code = code_version(f"tuning {'cnn' if model == 'train' else 'mlp'}")
    return Study(studies / f"{model}-{fingerprint({**decisive, 'code': code})}", model, fingerprint(decisive))
