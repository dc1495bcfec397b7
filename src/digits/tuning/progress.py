"""How far a search is: its trials, read from the study's file, which is neither changed nor kept from who writes it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from digits.tuning.records import is_damaged, started_trials, trial_record
from digits.tuning.report import parameters


def trials(file: Path) -> list[dict[str, Any]]:
    """The confirming fits that were started, then the trials, the latest first; [] if the file cannot be read now.

    trial: its number, or "confirming". model: in words. state: running, ended or failed. Of the longest fit so far, if
    there is one: seconds, epochs, accuracy, and log_loss of a trial.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: list[dict[str, Any]] = []
    with suppress(SQLAlchemyError, StorageInternalError), _opened(file) as storage:
        for name, shown in ((f"{file.parent.name}-confirmed", _confirming), (file.parent.name, _trial)):
            with suppress(KeyError):  # it is not begun yet
                begun = started_trials(optuna.load_study(study_name=name, storage=storage))
                found += [shown(trial) for trial in reversed(begun) if "repeats" not in trial.user_attrs]
    return found


@contextmanager
def _opened(file: Path) -> Iterator[RDBStorage]:
    address = f"sqlite:///file:{quote(str(file.resolve()))}?mode=ro&uri=true"
    storage = RDBStorage(address, skip_compatibility_check=True, skip_table_creation=True)
    try:
        yield storage
    finally:
        storage.engine.dispose()


def _state(trial: FrozenTrial) -> str:
    return {TrialState.RUNNING: "running", TrialState.FAIL: "failed"}.get(trial.state, "ended")


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    if is_damaged(trial):
        return {"trial": str(trial.number), "model": "damaged", "state": "failed"}
    record = trial_record(trial, ())
    last: dict[str, Any] = record.results[-1] if record.results else {}
    figures: dict[str, Any] = {name: last[name] for name in ("seconds", "epochs", "accuracy", "log_loss") if last}
    return {"trial": str(trial.number), "model": parameters(record), "state": _state(trial), **figures}


def _confirming(trial: FrozenTrial) -> dict[str, Any]:
    seed, fold, candidate = json.loads(trial.user_attrs.get("fit", '["", 0, ""]'))
    figures = {name: trial.user_attrs.get(name) for name in ("seconds", "epochs")}
    model = f"{candidate}, fold {fold + 1}, seed {seed}"
    return {"trial": "confirming", "model": model, "state": _state(trial), "accuracy": trial.value, **figures}
