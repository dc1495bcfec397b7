"""Fits of recipes: each from each seed once, side by side, kept as soon as it is finished."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from digits.common.code_version import code_version
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import fingerprint
from digits.config import CnnSpec
from digits.data.dataset import Dataset, load_dataset
from digits.models import family
from digits.replication.recipe import Recipe
from digits.replication.timing import expected_seconds
from digits.replication.unit import Unit, fit_unit
from digits.training.device import Device

_FIRST = 42  # seed of the fits


def units(
    recipes: Iterable[Recipe], data: dict[str, Dataset], runs: Path, seeds: int | None, device: Device
) -> list[list[Unit]]:
    """Chains of units, each of which is fitted one after the other; most have one.

    data: by the name that recipes use; recipes whose data is missing are left out. seeds: of every recipe; None: as
    many as it needs. device: what networks are trained with.
    """
    chains: dict[tuple[str, int], list[Unit]] = {}
    for recipe in recipes:
        if recipe.data not in data:
            continue
        for seed in range(_FIRST, _FIRST + (seeds or recipe.seeds)):
            chain = chains.pop((recipe.after, seed), []) if recipe.after else []
            before = chain[-1].folder if chain else None
            chains[recipe.id, seed] = [*chain, _unit(recipe, seed, data[recipe.data], runs, device, before)]
    return [*chains.values()]


def _unit(recipe: Recipe, seed: int, data: Dataset, runs: Path, device: Device, before: Path | None) -> Unit:
    model = recipe.model
    if recipe.model["kind"] == "cnn":
        spec = device.settle(CnnSpec.model_validate(model), device.at_once)
        model = spec.model_dump(mode="json")
    decisive = {
        "data": data.hash,
        "held": recipe.held,
        "images": recipe.images,
        "normalise": recipe.normalise,
        "model": model,
        "seed": seed,
        "start": before.name if before else None,
        "code": code_version(f"recipes {model['kind']}"),
    }
    return Unit(recipe, seed, model, data.folder, runs / fingerprint(decisive), before)


def complete(chains: Sequence[Sequence[Unit]], workers: int, console: Console) -> int:
    """Fit whatever is missing, the longest first, `workers` at a time; returns the number of fits.

    What fails keeps nothing else from being fitted. Raises UserError at the end, naming it.
    """
    missing = [[unit for unit in chain if unit.result is None] for chain in chains]
    missing = sorted(filter(None, missing), key=lambda chain: -sum(map(_seconds, chain)))
    # rows that share a fit have the same folder; a chain begins with what is its own
    seen: set[Path] = set()
    jobs = []
    for chain in missing:
        own = [unit for unit in chain if unit.folder not in seen]
        seen |= {unit.folder for unit in own}
        jobs += [own] if own else []
    if not jobs:
        return 0
    seconds = sum(_seconds(unit) for job in jobs for unit in job)
    failures = []
    with console.bar("study", seconds / 60, "minutes of one core") as bar:
        calls = (delayed(_fit_chain)(job) for job in jobs)
        for job, failure in Parallel(n_jobs=min(workers, len(jobs)), return_as="generator_unordered")(calls):
            bar.advance(sum(map(_seconds, job)) / 60, job[-1].recipe.id)
            if failure:
                failures.append(failure)
                console.warn(failure)
    if failures:
        raise UserError(f"study: {len(failures)} of {len(jobs)} fits failed; the same command tries them again")
    return sum(map(len, jobs))


def _seconds(unit: Unit) -> float:
    """How long it is expected to take."""
    data = load_dataset(unit.data)
    images = min(unit.recipe.images or len(data.images), round((1 - unit.recipe.held) * len(data.images)))
    return expected_seconds(unit.model, images, data.image_shape, data.classes)


def _fit_chain(chain: Sequence[Unit]) -> tuple[Sequence[Unit], str]:
    """Fit one after the other; returns them, and why one failed where one did: what follows it has no start."""
    logging.getLogger("digits").setLevel(logging.WARNING)
    family(chain[0].model["kind"])  # a library that is loaded later would not be held to one thread
    with threadpool_limits(1):
        for unit in chain:
            try:
                fit_unit(unit)
            except Exception as error:  # of any kind: the other recipes have nothing to do with it
                return chain, f"{unit.recipe.id} failed: {type(error).__name__}: {' '.join(str(error).split())}"
    return chain, ""
