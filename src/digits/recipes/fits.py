"""Fits of recipes: each from each seed once, side by side, kept as soon as it is finished."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from digits.config import CnnSpec
from digits.console import Console
from digits.crossval import fit_on
from digits.engine import Engine
from digits.errors import DivergedError, UserError
from digits.files import atomic_folder, fingerprint, read_json, write_json
from digits.metrics import accuracy, log_loss
from digits.models import FAMILIES, family, save
from digits.prepared import Prepared, load_prepared
from digits.recipes.expected import expected_seconds
from digits.recipes.recipe import Recipe
from digits.versions import code_version

_SPLIT = _FIRST = 42  # random_state of every published split that names one, and the first seed of the fits


@dataclass(frozen=True)
class Unit:
    """One recipe from one seed. folder: of its result, named after everything that decides it. data: prepared arrays.

    model: as the recipe's, with a value for every `auto`. start: folder of the fit whose weights it goes on with.
    """

    recipe: Recipe
    seed: int
    model: dict[str, Any]
    data: Path
    folder: Path
    start: Path | None

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it; None: it is still to be fitted.

        train, test: accuracies, None where the loss became no number, as `diverged` then says. loss: log loss of the
        images kept aside, nats. history: as a network's. seconds: of the fit. images: learned from.
        """
        found: dict[str, Any] | None = read_json(self.folder / "result.json")
        return found


def units(
    recipes: Iterable[Recipe], data: dict[str, Prepared], runs: Path, seeds: int | None, engine: Engine
) -> list[list[Unit]]:
    """Chains of units, each of which is fitted one after the other; most have one.

    data: by the name that recipes use; recipes whose data is missing are left out. seeds: of every recipe; None: as
    many as it needs. engine: what networks are trained with.
    """
    chains: dict[tuple[str, int], list[Unit]] = {}
    for recipe in recipes:
        if recipe.data not in data:
            continue
        for seed in range(_FIRST, _FIRST + (seeds or recipe.seeds)):
            chain = chains.pop((recipe.after, seed), []) if recipe.after else []
            before = chain[-1].folder if chain else None
            chains[recipe.id, seed] = [*chain, _unit(recipe, seed, data[recipe.data], runs, engine, before)]
    return [*chains.values()]


def _unit(recipe: Recipe, seed: int, data: Prepared, runs: Path, engine: Engine, before: Path | None) -> Unit:
    model = recipe.model
    if recipe.model["kind"] == "cnn":
        spec = engine.settle(CnnSpec.model_validate(model), engine.at_once)
        model = spec.model_dump(mode="json")
    decisive = {
        "data": data.hash,
        "held": recipe.held,
        "images": recipe.images,
        "normalise": recipe.normalise,
        "model": model,
        "seed": seed,
        "start": before.name if before else None,
        "code": code_version(FAMILIES[model["kind"]], __name__),
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
    data = load_prepared(unit.data)
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


def fit_unit(unit: Unit) -> None:
    """Fit a unit and save its result, the probabilities of the images kept aside, and its model."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - what is fitted already need not wait

    data, recipe = load_prepared(unit.data), unit.recipe
    train, test = train_test_split(np.arange(len(data.images)), test_size=recipe.held, random_state=_SPLIT)
    train = train[: recipe.images]
    history: list[dict[str, float]] = []
    result: dict[str, Any] = {"images": len(train), "train": None, "test": None, "loss": None, "diverged": ""}
    started = perf_counter()
    with atomic_folder(unit.folder) as folder:
        try:
            model = fit_on(
                data,
                train,
                test,
                unit.model,
                recipe.normalise,
                unit.seed,
                lambda *told: history.append(told[2]),
                unit.start,
            )
        except DivergedError as error:
            result["diverged"] = str(error)
        else:
            seen, learned = (model.predict_proba(data.images[rows]) for rows in (test, train))
            result["test"] = accuracy(seen, data.labels[test]).value
            result["loss"] = log_loss(seen, data.labels[test])
            result["train"] = accuracy(learned, data.labels[train]).value
            np.save(folder / "test.npy", seen.astype(np.float16))
            save(unit.model, model, folder)
        result["seconds"] = perf_counter() - started
        result["history"] = history
        write_json(folder / "result.json", result)
