"""Fits that were made on another machine, with the versions of libraries there, and placed among the runs here.

Their run's fingerprint has those versions, and the precision and batch size of that device. So no plan of this machine
names it: it is recognised by its network, its data and its code.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from digits.common.code_version import code_version
from digits.common.sealed import read_json
from digits.config import Params
from digits.config.schema import DEFAULT
from digits.training.candidates import same_network
from digits.training.runs import RunSpec

MADE = "made.json"  # in the folder of a unit: where it was made


def made_elsewhere(params: Params, runs: Path, data: Collection[str]) -> list[RunSpec]:
    """The runs of these params' networks, from any seed, with fits from other machines. data: hashes of their data."""
    networks = [params.network(name).model_dump(mode="json") for name in (*params.networks, DEFAULT)]

    def is_wanted(spec: RunSpec, made: Mapping[str, Any]) -> bool:
        same = spec.normalise == params.data.normalise and spec.data in data
        return same and is_of_this_code(spec, made) and any(same_network(each, spec.model) for each in networks)

    folders = sorted({path.parent.parent for path in runs.glob(f"[!.]*/[!.]*/{MADE}")})
    found = ((spec_of(folder), origin(folder)) for folder in folders)
    return [spec for spec, made in found if spec and is_wanted(spec, made)]


def spec_of(run: Path) -> RunSpec | None:
    """The spec of the run in a folder; None if there is none, or if it is of another version or was renamed."""
    try:
        spec = RunSpec(**read_json(run / "run.json") or {})
    except TypeError:
        return None
    return spec if spec.folder_name == run.name else None


def origin(run: Path) -> dict[str, Any]:
    """Where the first of a run's fits from elsewhere was made: gpus, python, libraries; {}: all are from here."""
    return next(filter(None, map(read_json, sorted(run.glob(f"[!.]*/{MADE}")))), {})


def is_of_this_code(spec: RunSpec, made: Mapping[str, Any]) -> bool:
    """Whether a run is of this version of the package, with the libraries that were installed where it was made."""
    return spec.code == code_version(spec.model["kind"], libraries=tuple(sorted(made["libraries"].items())))


def where(made: Mapping[str, Any]) -> str:
    """An origin for people."""
    gpus, libraries = made["gpus"], made["libraries"]
    device = f"{len(gpus)} x {gpus[0]}" if gpus else "processor"
    return f"Kaggle, {device}, TensorFlow {libraries.get('tensorflow', '?')}"
