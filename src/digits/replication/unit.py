"""One recipe fitted from one seed. Its result follows from this module's code, and is made anew where that changes."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import DivergedError
from digits.common.files import atomic_folder, read_json, write_json
from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import save
from digits.replication.recipe import Recipe
from digits.training.crossval import fit_on

_SPLIT = 42  # random_state of every published split that names one


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


def split(recipe: Recipe, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of so many labelled images, the rows that a recipe learns from and those that it keeps aside."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - what is fitted already need not wait

    train, kept = train_test_split(np.arange(count), test_size=recipe.held, random_state=_SPLIT)
    return train[: recipe.images], kept


def fit_unit(unit: Unit) -> None:
    """Fit a unit and save its result, the probabilities of the images kept aside, and its model."""
    data, recipe = load_dataset(unit.data), unit.recipe
    train, test = split(recipe, len(data.images))
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
