"""Where a study of `tune` keeps its memory, and what it found; known to stages that never search themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from digits.common.code_version import code_version
from digits.common.files import fingerprint, write_atomic
from digits.config import Params
from digits.data.dataset import Dataset

TUNED = "tuned"  # name of the network that a study found
_HEADER = """\
# What `make tune` found: a fragment of params.yaml. Copy it there to make it the default, or leave it here: the same
# params and data take it by themselves while train.use_tuned is true. `measured_accuracy`, where it stands here, is its
# accuracy out of fold: networks of params.yaml that are known to be more accurate are still taken where they have time.
"""
# how much is searched, where and by whom does not change what a trial is worth
_NOT_DECISIVE = {"model", "budget", "workers", "storage", "n_trials", "timeout"}


@dataclass(frozen=True)
class Study:
    """A search for one model, one data set, one default and one space. model: `train`, or the name of a baseline."""

    folder: Path
    model: str

    @property
    def name(self) -> str:
        """Name in a database."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """The study's own database, where no other is named."""
        return self.folder / "study.db"

    @property
    def fragment(self) -> dict[str, Any] | None:
        """What was found, sections of params.yaml; without any where the defaults stay, None before the end."""
        path = self.folder / "best.yaml"
        return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else None

    @property
    def best(self) -> dict[str, Any]:
        """What to put over the parameters of the model; nothing before the end."""
        section = (self.fragment or {}).get("train" if self.model == "train" else "baseline", {})
        found: dict[str, Any] = section if self.model == "train" else section.get("models", {}).get(self.model, {})
        return {name: value for name, value in found.items() if name != "measured_accuracy"}

    @property
    def measured(self) -> dict[str, dict[str, float]]:
        """The accuracy of the network that was found, as train.measured_accuracy in params.yaml; {} if unknown."""
        found: dict[str, dict[str, float]] = (self.fragment or {}).get("train", {}).get("measured_accuracy", {})
        return found

    @property
    def normalise(self) -> str | None:
        """The normalisation that was found; None: the one of the data."""
        found: str | None = (self.fragment or {}).get("data", {}).get("normalise")
        return found

    def save(
        self, overrides: dict[str, Any], comment: str, measured: dict[str, dict[str, float]] | None = None
    ) -> None:
        """Write what was found, overrides of the model's parameters and of `normalise`; {}: the defaults stay.

        measured: its accuracy, as train.measured_accuracy in params.yaml, of a network.
        """
        model = {name: value for name, value in overrides.items() if name != "normalise"}
        fragment: dict[str, Any] = {}
        if "normalise" in overrides:
            fragment["data"] = {"normalise": overrides["normalise"]}
        if model:
            fragment |= {"train": model} if self.model == "train" else {"baseline": {"models": {self.model: model}}}
        if measured:
            fragment["train"] = fragment.get("train", {}) | {"measured_accuracy": measured}
        notes = "".join(f"# {line}\n" for line in comment.splitlines())
        write_atomic(self.folder / "best.yaml", _HEADER + notes + yaml.safe_dump(fragment, sort_keys=False))


def study_of(params: Params, data: Dataset, studies: Path, model: str) -> Study:
    """The study of a model that the params, as they are written, data and code ask for; the same on every machine."""
    default = params.train.spec if model == "train" else params.baseline.models[model]
    decisive = {
        "data": data.hash,
        "normalise": params.data.normalise,
        "default": default.model_dump(mode="json"),
        "tune": params.tune.model_dump(mode="json", exclude=_NOT_DECISIVE),
        "code": code_version(f"tuning {default.kind}"),
    }
    return Study(studies / f"{model}-{fingerprint(decisive)}", model)
