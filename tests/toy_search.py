"""A search for the parameters of an MLP, in which a formula takes the place of fits."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import create_engine, text

from digits.models.points import Limits
from digits.models.search_space import narrow_space
from digits.tuning.records import TrialRecord, finished_trials, spent_seconds
from digits.tuning.search import search
from digits.tuning.storage import open_storage
from digits.tuning.study import Known, SearchPlan, continue_study, open_study

RUNGS = (1.0, 4.0, 16.0)  # seconds
PAUSE = 0.05  # seconds that a trial of `drive` takes at least
NAMED: dict[str, dict[str, Any]] = {"default": {}, "wide": {"hidden_layer_sizes": [512]}}


def known(named: dict[str, dict[str, Any]]) -> dict[str, Known]:
    """Models to begin with, by name: what differs from the default. None has a point of the space."""
    return {name: Known(overrides, {}) for name, overrides in named.items()}


def plan(space: dict[str, Any] | None = None, **changes: Any) -> SearchPlan:
    """Of 20 trials. space: what of it is narrowed."""
    made: dict[str, Any] = {
        "kind": "mlp",
        "space": narrow_space("mlp", space or {}),
        "limits": Limits((28, 28), 10, 1),
        "known": known(NAMED),
        "rungs": RUNGS,
        "seed": 0,
        "n_trials": 20,
    }
    return SearchPlan(**made | changes)


def result(accuracy: float, rung: int, seconds: float = 1.0) -> dict[str, Any]:
    """Of one fit."""
    return {"rung": rung, "epochs": 1.0, "accuracy": accuracy, "log_loss": 1 - accuracy, "seconds": seconds}


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
        for rung, _ in enumerate(RUNGS):
            if not report(result(self.formula(overrides), rung)):
                return


def opened(url: str, plan: SearchPlan) -> optuna.Study:
    """The study in the database at `url`, ready for trials."""
    study = open_study(open_storage(url), "test")
    continue_study(study, plan, shared="sqlite" not in url)
    return study


def run_search(
    folder: Path,
    evaluate: Any,
    plan: SearchPlan,
    seconds_left: Callable[[], float] = lambda: 1e6,
    workers: int = 1,
) -> list[TrialRecord]:
    """Search in the database of `folder`; returns all trials that have ended there."""
    study = opened(f"sqlite:///{folder / 'study.db'}", plan)
    reported: list[TrialRecord] = []
    search(study, plan, evaluate, seconds_left, workers, reported.append)
    return finished_trials(study, plan.rungs)


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
    brief = plan(n_trials=None, rungs=(PAUSE, 4 * PAUSE, 16 * PAUSE))
    study = opened(url, brief)

    def evaluate(overrides: dict[str, Any], report: Callable[[dict[str, Any]], bool]) -> None:
        print("trial", flush=True)
        sys.stdin.readline()
        time.sleep(PAUSE)
        for rung, _ in enumerate(RUNGS):
            if not report(result(formula(overrides), rung, PAUSE)):
                return

    def seconds_left() -> float:
        return float(budget.read_text()) - spent_seconds([study], time.time())

    search(study, brief, evaluate, seconds_left, 1, lambda _: None)


if __name__ == "__main__":
    drive(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
