"""Finds the runs and blends that are to be compared, and reads what is known about each."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.code_version import code_version
from digits.common.errors import UserError
from digits.common.fingerprints import COMPUTATIONS
from digits.common.matching import hint
from digits.common.sealed import intact, read_json
from digits.data.dataset import Dataset, find_dataset
from digits.ensemble.blend import load_about, load_blend, load_predictions
from digits.report.gather import read_run


@dataclass(frozen=True)
class Compared:
    """A finished run or blend.

    name: of its folder. data: what it learned from; hash: of this, or of a sample of it. rows: (n,), the images that it
    predicts out of fold. oof: (n, classes). params: nested; of a blend, method and members. version: of code and
    libraries.
    """

    name: str
    data: Dataset
    hash: str
    rows: NDArray[np.int64]
    oof: NDArray[np.floating]
    params: dict[str, Any]
    version: str


def resolve(names: Sequence[str], runs: Path) -> list[Path]:
    """The two folders below `runs` that names, or unique beginnings of names, denote. Raises UserError otherwise."""
    if len(names) != 2:
        raise UserError('RUNS takes two runs or blends, as in RUNS="logistic cnn"; make runs lists them')
    folders = {path.parent.name: path.parent for path in runs.glob("[!.]*/*.json") if path.stem in ("run", "blend")}
    of_models = {name: name.rpartition("-")[0] for name in folders}  # without the fingerprint
    found = []
    for typed in names:
        exact = [name for name, model in of_models.items() if typed in (name, model)]
        fitting = exact or [name for name in folders if name.startswith(typed)]
        if len(fitting) > 1:
            raise UserError(f"RUNS: {typed!r} may be any of {', '.join(sorted(fitting))}; type more of the name")
        if not fitting:
            raise UserError(f"RUNS: there is no run or blend {typed!r}{hint(typed, sorted({*of_models.values()}))}")
        found.append(folders[fitting[0]])
    return found


def newest(runs: Path, data: Dataset) -> list[Path]:
    """Folders of the two runs or blends on these data that were finished last, the older one first.

    Raises UserError if there are fewer.
    """
    files = [*runs.glob("[!.]*/fold-*/metrics.json"), *runs.glob("blend-*/blend.json")]
    ordered = sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    folders = dict.fromkeys(runs / file.relative_to(runs).parts[0] for file in ordered)
    found = [folder for folder in folders if _hash(folder).split("/")[0] == data.hash]
    if len(found) < 2:
        missing = f"only {found[0].name} is finished" if found else "no run is finished"
        raise UserError(f"{missing} with these data, and two are compared; type: make baseline")
    return [found[1], found[0]]


def _hash(folder: Path) -> str:
    """Hash of the data of a run or blend; "" if it is not known."""
    spec = read_json(folder / "run.json") or {"data": load_about(folder.parent, folder.name).get("hash", "")}
    return str(spec["data"])


def read(folder: Path, processed: Path) -> Compared:
    """A run or blend; processed: folder of all prepared data. Raises UserError if it cannot be read."""
    data = find_dataset(processed, _hash(folder))
    found: Compared | None = None
    with suppress(TypeError):  # made by another version of this package
        if data:
            found = _blend(folder, data) if (folder / "blend.json").exists() else _run(folder, data)
    if found is None:
        raise UserError(
            f"runs/{folder.name} cannot be compared: it has no finished fold, or another version of digits has made "
            "it, or its images are no longer in data/processed; make runs lists all"
        )
    return found


def _run(folder: Path, data: Dataset) -> Compared | None:
    run = read_run(data, folder)
    if run is None:
        return None
    also = {"normalise": run.spec.normalise, "seed": run.spec.seed, "folds": run.metrics["folds"], "refits": run.refits}
    version = _version({(run.spec.model["kind"], run.spec.code)})
    return Compared(folder.name, data, run.spec.data, run.rows, run.oof, run.spec.model | also, version)


def _blend(folder: Path, data: Dataset) -> Compared | None:
    blend = load_blend(folder.parent, folder.name) if intact(folder, "is left out") else None
    if blend is None:
        return None
    specs = [read_json(folder.parent / member / "run.json") for member in blend.units]
    weights = {name: "" if weight is None else f", weight {weight:.0%}" for name, weight in blend.weights.items()}
    members = {name: f"{len(units)} fits{weights[name]}" for name, units in blend.units.items()}
    params = {"kind": "blend", "method": blend.method, "members": members}
    version = _version({(spec["model"]["kind"], spec["code"]) for spec in specs if spec})
    predictions = load_predictions(folder.parent, blend)
    return Compared(folder.name, data, _hash(folder), predictions.rows, predictions.oof, params, version)


def _version(versions: set[tuple[str, str]]) -> str:
    """In words; versions: for each kind of model, the hash of what has fitted it."""
    current = all(kind in COMPUTATIONS and code == code_version(kind) for kind, code in versions)
    return "today's" if current else ", ".join(sorted(code for _, code in versions))
