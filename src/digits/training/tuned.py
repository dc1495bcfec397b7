"""The folder of a `make tune` study, with the parameters that it found, for commands that do not search."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from digits.common.code_version import code_version
from digits.common.files import fingerprint, write_atomic
from digits.config import Params
from digits.config.renames import refuse_old_names
from digits.data.dataset import Dataset

TUNED = "tuned"  # name of the network with the parameters that a study found
_HEADER = """\
# The parameters that `make tune` found, as a fragment of params.yaml. Copy them there to make them the default, or
# leave them here: with the same params and data they are used while train.use_tuned is true.
"""
# the length and place of a search, and its number of processes, do not change the result of a trial
_NOT_DECISIVE = {"model", "budget", "workers", "storage", "n_trials", "trial_timeout"}


@dataclass(frozen=True)
class Study:
    """A study of one model, with its data set, default and search space. model: `train`, or a baseline's name."""

    folder: Path
    model: str

    @property
    def name(self) -> str:
        """Name in its database."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """The study's own database, used unless tune.storage names another."""
        return self.folder / "study.db"

    @cached_property
    def fragment(self) -> dict[str, Any] | None:
        """What was found, as sections of params.yaml; {} if the default stays, None before the end. Read once.

        Raises UserError if the file uses a name that params files no longer have.
        """
        path = self.folder / "best.yaml"
        if not path.exists():
            return None
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        refuse_old_names(content, str(path))
        return content

    @property
    def best(self) -> dict[str, Any]:
        """Overrides of the model's parameters; {} if the default stays, and before the end."""
        section = (self.fragment or {}).get("train" if self.model == "train" else "baseline", {})
        model: dict[str, Any] = section if self.model == "train" else section.get("models", {}).get(self.model, {})
        return model

    @property
    def normalise(self) -> str | None:
        """The normalisation that was found; None: that of params.yaml."""
        normalise: str | None = (self.fragment or {}).get("data", {}).get("normalise")
        return normalise

    def save(self, overrides: dict[str, Any], comment: str) -> None:
        """Write best.yaml. overrides: of the model's parameters and of `normalise`; {}: the default stays."""
        model = {name: value for name, value in overrides.items() if name != "normalise"}
        fragment: dict[str, Any] = {}
        if "normalise" in overrides:
            fragment["data"] = {"normalise": overrides["normalise"]}
        if model:
            fragment |= {"train": model} if self.model == "train" else {"baseline": {"models": {self.model: model}}}
        self.__dict__.pop("fragment", None)
        notes = "".join(f"# {line}\n" for line in comment.splitlines())
        write_atomic(self.folder / "best.yaml", _HEADER + notes + yaml.safe_dump(fragment, sort_keys=False))


def studies_of(params: Params, data: Dataset, studies: Path) -> list[Study]:
    """The studies of all models that can be searched; the network's comes first."""
    models = ["train", *(name for name, spec in params.baseline.models.items() if spec.kind == "mlp")]
    return [study_of(params, data, studies, model) for model in models]


def study_of(params: Params, data: Dataset, studies: Path, model: str) -> Study:
    """The study of a model: `train`, or the name of a baseline.

    The same params, data and code give the same study on every machine, because an `auto` counts as `auto`.
    """
    default = params.train.spec if model == "train" else params.baseline.models[model]
    decisive = {
        "data": data.hash,
        "normalise": params.data.normalise,
        "default": default.model_dump(mode="json"),
        "seed": params.train.seed,  # of the trials' fits
        "tune": params.tune.model_dump(mode="json", exclude=_NOT_DECISIVE),
        "code": code_version(f"tuning {default.kind}"),
    }
    return Study(studies / f"{model}-{fingerprint(decisive)}", model)
