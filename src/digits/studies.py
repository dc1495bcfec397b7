"""Where a study of `tune` keeps its memory, and what it found; known to stages that never search themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from digits.config import CnnSpec, Params, validate
from digits.files import fingerprint, write_atomic
from digits.prepared import Prepared
from digits.runs import RunSpec, run_spec
from digits.versions import code_version

_HEADER = """\
# What `make tune` found. A fragment of params.yaml: copy it there to make it the default, or leave it here:
# `make train` takes it by itself while data, defaults and search stay the same and train.use_tuned is true.
"""


@dataclass(frozen=True)
class Study:
    """A search for one data set, one default and one space."""

    folder: Path

    @property
    def storage(self) -> str:
        """Address of Optuna's memory."""
        return f"sqlite:///{self.folder / 'study.db'}"

    @property
    def best(self) -> dict[str, Any] | None:
        """What to put over the defaults of `train`: a dictionary, empty to keep them, or None before the end."""
        path = self.folder / "best.yaml"
        if not path.exists():
            return None
        overrides: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["train"]
        return overrides

    def save_best(self, overrides: dict[str, Any], comment: str) -> None:
        """Write what was found; this ends the study."""
        content = yaml.safe_dump({"train": overrides}, sort_keys=False)
        write_atomic(self.folder / "best.yaml", f"{_HEADER}# {comment}\n{content}")


def study_of(params: Params, data: Prepared, studies: Path) -> Study:
    """The study that the present params, data and code ask for."""
    decisive = {
        "data": data.hash,
        "normalise": params.data.normalise,
        "default": params.train.spec.model_dump(mode="json"),
        "tune": params.tune.model_dump(mode="json"),
        "code": code_version("digits.tuning", "digits.models.cnn"),
    }
    return Study(studies / fingerprint(decisive))


def train_run(params: Params, data: Prepared, studies: Path) -> RunSpec:
    """The run of `make train`: the default network, or what a finished study found."""
    spec = params.train.spec
    study = study_of(params, data, studies)
    if params.train.use_tuned and study.best:
        spec = validate(CnnSpec, spec.model_dump(mode="json") | study.best, str(study.folder / "best.yaml"))
    return run_spec("cnn", spec.model_dump(mode="json"), params.data.normalise, params.train.seed, data)


def baseline_runs(params: Params, data: Prepared) -> list[RunSpec]:
    """The runs of `make baseline`."""
    return [
        run_spec(name, spec.model_dump(mode="json"), params.data.normalise, params.baseline.seed, data)
        for name, spec in params.baseline.models.items()
    ]
