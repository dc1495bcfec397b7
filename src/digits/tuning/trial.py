"""One parameter set, fitted for longer and longer as long as it is worth it, each in a process of its own."""

import threading
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from time import perf_counter
from typing import Any

from threadpoolctl import threadpool_limits

from digits.common.processes import Send, run_in_subprocess
from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy, log_loss
from digits.models import FAMILIES
from digits.training.crossval import PRELOAD, fit

LENGTH = {"cnn": "epochs", "mlp": "max_iter"}  # the parameter that says how long a model of a kind is fitted


@dataclass(frozen=True)
class Order:
    """What is to be fitted: a model's parameters with `kind`, on which data, for which `lengths` one after the other.

    fold: its images judge, all others but the holdout's teach. threads: of one fit.
    """

    data_folder: Path
    model: dict[str, Any]
    normalise: str
    seed: int
    fold: int
    lengths: tuple[int, ...]
    threads: int


def lengths(longest: int, reduction: int) -> tuple[int, ...]:
    """Epochs of the rungs, up to `longest`: each rung is about `reduction` times as long as the one below it."""
    found = {longest}
    while (shorter := ceil(min(found) / reduction)) < min(found):
        found.add(shorter)
    return tuple(sorted(found))


def judge_in_subprocess(
    order: Order, answer: Any, seconds: float, first: float = inf, stop: threading.Event | None = None
) -> None:
    """Fit in a process of its own; answer(result) says after each length whether to go on with the next.

    result: length, accuracy and log_loss (nats) on the fold's valid part, seconds of fitting and judging, and history,
    a dictionary per epoch. Every length is a fit from the start, with the whole course of its learning rate, so that
    its figure is what such a fit is worth. seconds: of all fits at most; first: of the first one; stop: once it is set,
    none goes on. Raises ProcessDiedError with the cause where it does not come to its end, ProcessTimeoutError
    where it takes too long.
    """
    run_in_subprocess(_judge, order, answer, seconds, (FAMILIES[order.model["kind"]], *PRELOAD), first, stop)


def _judge(order: Order, ask: Send) -> None:
    data = load_dataset(order.data_folder)
    rows = data.valid_rows(order.fold)
    images, labels = data.images[rows], data.labels[rows]
    with threadpool_limits(order.threads):
        for length in order.lengths:
            started = perf_counter()
            model = fit(data, order.fold, shortened(order.model, length), order.normalise, order.seed)
            found = model.predict_proba(images)
            result = {
                "length": length,
                "accuracy": accuracy(found, labels).value,
                "log_loss": log_loss(found, labels),
                "seconds": perf_counter() - started,
                "history": getattr(model, "history_", []),
            }
            if not ask(result):
                return


def shortened(model: dict[str, Any], length: int) -> dict[str, Any]:
    """A model's parameters for a fit of `length` epochs; a network's least number of steps shrinks alike."""
    name = LENGTH[model["kind"]]
    least = {"min_steps": ceil(model["min_steps"] * length / model[name])} if "min_steps" in model else {}
    return model | least | {name: length}
