"""The fits of one trial: one rung after the other, each fit from new weights, all in one subprocess."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

from threadpoolctl import threadpool_limits

from digits.common.processes import Send
from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.training.crossval import fit

RESOURCE = {"cnn": "epochs", "mlp": "max_iter"}  # the parameter with the number of epochs, by kind of model


@dataclass(frozen=True)
class Task:
    """What is fitted and evaluated.

    model: parameters, with `kind`. fold: evaluated on its valid part, trained on the other folds. rungs: epochs of each
    fit, ascending.
    """

    data_folder: Path
    model: dict[str, Any]
    normalise: str
    seed: int
    fold: int
    rungs: tuple[int, ...]


def rungs(max_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """Epochs of the rungs, up to `max_epochs`: each has about `reduction_factor` times as many as the one below."""
    epochs = [max_epochs]
    while (lower := ceil(epochs[0] / reduction_factor)) < epochs[0]:
        epochs.insert(0, lower)
    return tuple(epochs)


def evaluate(task: Task, report: Send) -> None:
    """Fit and evaluate a task, in a subprocess; report(result) returns after each rung whether to continue.

    result: epochs; accuracy and log_loss (nats) on the fold's valid part; seconds of fitting and predicting; history, a
    dictionary per epoch. Each fit runs its learning-rate schedule to the end, so its accuracy is that of a complete
    fit of so many epochs.
    """
    data = load_dataset(task.data_folder)
    rows = data.valid_rows(task.fold)
    images, labels = data.images[rows], data.labels[rows]
    with threadpool_limits(task.model.get("threads", 1)):
        for epochs in task.rungs:
            started = perf_counter()
            model = fit(data, task.fold, with_epochs(task.model, epochs), task.normalise, task.seed)
            probabilities = model.predict_proba(images)
            result = {
                "epochs": epochs,
                "accuracy": accuracy(probabilities, labels).value,
                "log_loss": log_loss(probabilities, labels),
                "seconds": perf_counter() - started,
                "history": getattr(model, "history_", []),
            }
            if not report(result):
                return


def with_epochs(model: dict[str, Any], epochs: int) -> dict[str, Any]:
    """A model's parameters for a fit of so many epochs; a network's `min_steps` changes by the same factor."""
    name = RESOURCE[model["kind"]]
    steps = {"min_steps": ceil(model["min_steps"] * epochs / model[name])} if "min_steps" in model else {}
    return model | steps | {name: epochs}
