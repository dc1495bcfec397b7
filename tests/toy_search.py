"""A search for the parameters of an MLP, in which a formula takes the place of fits."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import create_engine, text

from digits.models.search_space import narrow_space
from digits.tuning.records import TrialRecord, finished_trials, spent_seconds
from digits.tuning.search import search
from digits.tuning.storage import open_storage
from digits.tuning.study import SearchPlan, open_study

RUNGS = (1, 4, 16)
PAUSE = 0.05  # seconds that a trial of `drive` takes at least
ENQUEUED: dict[str, dict[str, Any]] = {"default": {}, "wide": {"hidden_layer_sizes": [512]}}


def plan(space: dict[str, Any] | None = None, **changes: Any) -> SearchPlan:
    """Of 20 trials. space: what of it is narrowed."""
    made: dict[str, Any] = {
        "kind": "mlp",
        "space": narrow_space("mlp", space or {}),
        "enqueue": ENQUEUED,
        "initial_point": {},
        "rungs": RUNGS,
        "reduction_factor": 4,
        "seed": 0,
        "n_trials": 20,
    }
    return SearchPlan(**made | changes)


def result(accuracy: float, epochs: int, seconds: float = 1.0) -> dict[str, Any]:
    """Of one fit."""
    return {"epochs": epochs, "accuracy": accuracy, "log_loss": 0.1, "seconds": seconds, "history": []}


def formula(overrides: dict[str, Any]) -> float:
    """The accuracy, best at a learning rate of 0.003."""
    return 0.9 - abs(float(overrides.get("learning_rate_init", 0.1)) - 0.003)


class Evaluation:
    """Evaluates trials by a formula. evaluated: the overrides of all trials so far."""

    def __init__(self, formula: Callable[[dict[str, Any]], float] = formula):
        self.formula = formula
        self.evaluated: list[dict[str, Any]] = []

    def __call__(self, overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        self.evaluated.append(overrides)
        for epochs in RUNGS:
            if not report(result(self.formula(overrides), epochs)):
                return


def run_search(
    folder: Path,
    evaluate: Any,
    plan: SearchPlan,
    seconds_left: Callable[[], float] = lambda: 1e6,
    workers: int = 1,
) -> list[TrialRecord]:
    """Search in the database of `folder`; returns all trials that have ended there."""
    study = open_study(open_storage(f"sqlite:///{folder / 'study.db'}"), "test", plan, shared=False)
    reported: list[TrialRecord] = []
    search(study, plan, evaluate, seconds_left, workers, reported.append)
    trials = finished_trials(study, plan.rungs)
    assert {trial.number for trial in reported} <= {trial.number for trial in trials}
    return trials


def make_older(url: str, column: str, hours: int) -> None:
    """Move a column of moments of the running trials, as "trials.datetime_start", back in a database that is a file."""
    table, name = column.split(".")
    running = "trial_id IN (SELECT trial_id FROM trials WHERE state = 'RUNNING')"
    with create_engine(url).begin() as connection:
        older = f"UPDATE {table} SET {name} = datetime({name}, '-{hours} hours') WHERE {running}"
        assert connection.execute(text(older)).rowcount


def hang(*_: Any) -> None:
    """Until the process is killed."""
    print("trial", flush=True)
    time.sleep(600)


def drive(url: str, budget: Path, *modes: str) -> None:
    """Search in the database at `url` until the seconds that stand in the file `budget` are spent.

    Each trial prints a line and waits for one of standard input, if that is not closed. modes: "no heartbeat", to hang
    between Optuna's claim of a trial and its first heartbeat; "container", to have an id that no process outside has.
    """
    if "no heartbeat" in modes:
        optimize: Any = optuna.study._optimize
        optimize.get_heartbeat_thread = hang
    if "container" in modes:
        os.getpid = lambda: 2**30
    study = open_study(open_storage(url), "test", plan(n_trials=None), shared="sqlite" not in url)

    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        print("trial", flush=True)
        sys.stdin.readline()
        time.sleep(PAUSE)
        for epochs in RUNGS:
            if not report(result(formula(overrides), epochs, PAUSE)):
                return

    def seconds_left() -> float:
        return float(budget.read_text()) - spent_seconds([study], time.time())

    search(study, plan(n_trials=None), evaluate, seconds_left, 1, lambda _: None)


if __name__ == "__main__":
    drive(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
