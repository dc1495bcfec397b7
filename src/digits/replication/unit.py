"""One fit of a recipe from one seed. If the code of this module changes, all units are fitted again."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.common.errors import DivergedError
from digits.common.sealed import read_json, save_folder, write_json
from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import Classifier, save
from digits.replication.recipe import Recipe
from digits.training.crossval import fit_on

_SPLIT = 42  # random_state of all published splits that name one


@dataclass(frozen=True)
class Unit:
    """One recipe and one seed.

    model: the recipe's, with a value for every `auto`. data: folder of the prepared arrays. folder: of the result,
    named after everything that decides it. start: folder of the fit whose weights this one starts from; None: new
    weights.
    """

    recipe: Recipe
    seed: int
    model: dict[str, Any]
    data: Path
    folder: Path
    start: Path | None

    @property
    def result(self) -> dict[str, Any] | None:
        """The result of the fit; None before the fit.

        train, test: accuracies, None if the fit diverged. diverged: the message if it did, else "". loss: log loss of
        the test images, nats. history: a dictionary per epoch, as for networks. seconds: of the fit. images: number of
        training images.
        """
        result: dict[str, Any] | None = read_json(self.folder / "result.json")
        return result


def split(recipe: Recipe, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training and of the test images, of `count` labelled images."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - takes a second, and only fits need it

    train, test = train_test_split(np.arange(count), test_size=recipe.test_size, random_state=_SPLIT)
    return train[: recipe.images], test


def fit_unit(unit: Unit) -> None:
    """Fit a unit and save its result, the probabilities of its test images, and its model."""
    data, recipe = load_dataset(unit.data), unit.recipe
    train, test = split(recipe, len(data.images))
    history: list[dict[str, float]] = []
    result: dict[str, Any] = {"images": len(train), "train": None, "test": None, "loss": None, "diverged": ""}
    started = perf_counter()
    model: Classifier | None = None
    try:
        model = fit_on(
            data,
            train,
            test,
            unit.model,
            recipe.normalise,
            unit.seed,
            lambda epoch, epochs, record: history.append(record),
            unit.start,
        )
    except DivergedError as error:
        result["diverged"] = str(error)
    else:
        on_test, on_train = (model.predict_proba(data.images[rows]) for rows in (test, train))
        result["test"] = accuracy(on_test, data.labels[test]).value
        result["loss"] = log_loss(on_test, data.labels[test])
        result["train"] = accuracy(on_train, data.labels[train]).value
    result["seconds"] = perf_counter() - started
    result["history"] = history

    def fill(folder: Path) -> None:
        if model is not None:
            np.save(folder / "test.npy", on_test.astype(np.float16))
            save(unit.model, model, folder)
        write_json(folder / "result.json", result)

    save_folder(unit.folder, fill)
