"""Fits of recipes: each recipe once from each seed, in parallel, saved as soon as it is finished."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Executor, Job, Place, run_job
from digits.common.files import fingerprint
from digits.common.processes import ProcessDiedError, Send, run_in_threads
from digits.config import CnnSpec
from digits.data.dataset import Dataset, load_dataset
from digits.models import family
from digits.replication.recipe import Recipe
from digits.replication.timing import expected_seconds
from digits.replication.unit import Unit, fit_unit
from digits.training.crossval import preload
from digits.training.device import Device

_FIRST_SEED = 42
_TIMEOUT = 6 * 3600.0  # seconds of a fit; the longest one takes ten minutes of a core with AMX

Chain = Sequence[Unit]  # each starts from the weights of the one before it


def units(
    recipes: Iterable[Recipe], data: dict[str, Dataset], runs: Path, seeds: int | None, device: Device
) -> list[list[Unit]]:
    """The units of the recipes, in chains; the units of a chain are fitted in order, and most chains have one.

    data: by the name that recipes use; recipes whose data is missing are left out. seeds: number of fits of
    each recipe; None: as many as the recipe needs. device: trains the networks.
    """
    chains: dict[tuple[str, int], list[Unit]] = {}
    for recipe in recipes:
        if recipe.data not in data:
            continue
        for seed in range(_FIRST_SEED, _FIRST_SEED + (seeds or recipe.seeds)):
            chain = chains.pop((recipe.after, seed), []) if recipe.after else []
            start = chain[-1].folder if chain else None
            chains[recipe.id, seed] = [*chain, _unit(recipe, seed, data[recipe.data], runs, device, start)]
    return [*chains.values()]


def _unit(recipe: Recipe, seed: int, data: Dataset, runs: Path, device: Device, start: Path | None) -> Unit:
    model = recipe.model
    if recipe.model["kind"] == "cnn":
        spec = device.resolve(CnnSpec.model_validate(model))
        model = spec.model_dump(mode="json")
    decisive = {
        "data": data.hash,
        "test_size": recipe.test_size,
        "images": recipe.images,
        "normalise": recipe.normalise,
        "model": model,
        "seed": seed,
        "start": start.name if start else None,
        "code": code_version(f"recipes {model['kind']}"),
    }
    return Unit(recipe, seed, model, data.folder, runs / fingerprint(decisive), start)


def complete(chains: Sequence[Chain], executor: Executor, console: Console) -> int:
    """Fit all units without a result, the longest chain first, on the slots of an executor; returns the number of fits.

    A fit that fails does not stop the others. Raises UserError at the end, with the number of failures.
    """
    missing = [left for chain in chains if (left := [unit for unit in chain if unit.result is None])]
    expected = {unit.folder: _seconds(unit) for chain in missing for unit in chain}

    def seconds(chain: Chain) -> float:
        return sum(expected[unit.folder] for unit in chain)

    # recipes that share a fit have the same folder; a chain begins with its own units
    seen: set[Path] = set()
    jobs = []
    for chain in sorted(missing, key=seconds, reverse=True):
        own = [unit for unit in chain if unit.folder not in seen]
        seen |= {unit.folder for unit in own}
        if own:
            jobs.append(own)
    if not jobs:
        return 0
    minutes = sum(map(seconds, jobs)) / 60
    modules = preload(*(unit.model["kind"] for job in jobs for unit in job))
    failures: list[str] = []
    with console.bar("recipes", minutes, "minutes of one core") as bar:

        def after_job(job: Chain, failure: str) -> None:
            bar.advance(seconds(job) / 60, job[-1].recipe.id)
            if failure:
                failures.append(failure)
                console.warn(failure)

        run_in_threads(partial(_fit, executor, modules), jobs, min(executor.threads, len(jobs)), after_job)
    if failures:
        raise UserError(f"recipes: {len(failures)} of {len(jobs)} fits failed; the same command tries them again")
    return sum(map(len, jobs))


def _seconds(unit: Unit) -> float:
    """Expected duration of a fit."""
    data = load_dataset(unit.data)
    images = min(unit.recipe.images or len(data.images), round((1 - unit.recipe.test_size) * len(data.images)))
    return expected_seconds(unit.model, images, data.image_shape, data.classes, data.channels)


def _fit(executor: Executor, modules: Sequence[str], chain: Chain, stop: threading.Event) -> str:
    """Fit a chain; returns "", or why a unit failed: those after it cannot start without it."""
    fitted: list[str] = []
    first = chain[0]
    needs = (first.start.name,) if first.start else ()
    place = Place(first.data, first.folder.parent)
    job = Job(_fit_chain, chain, place, modules, needs, timeout=_TIMEOUT * len(chain))
    try:
        run_job(executor, job, fitted.append, stop.is_set)
    except ProcessDiedError as error:
        return f"{chain[len(fitted)].recipe.id} failed: {error}"
    return ""


def _fit_chain(chain: Chain, place: Place, report: Send) -> None:
    family(chain[0].model["kind"])  # a library that is loaded later would not be limited to one thread
    with threadpool_limits(1):
        for unit in chain:
            start = unit.start and place.results / unit.start.name
            fit_unit(replace(unit, data=place.data, folder=place.results / unit.folder.name, start=start))
            report(unit.recipe.id)
