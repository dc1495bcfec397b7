"""How far a search is: its trials, read from the study's file, which is neither changed nor kept from who writes it."""

from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from digits.tuning.records import is_damaged, started_trials, trial_record
from digits.tuning.report import parameters


def trials(file: Path) -> list[dict[str, Any]]:
    """The trials that were started, the latest first; [] if the file cannot be read now.

    number, model (in words), state (running, ended or failed), and of the longest fit so far, if there is one:
    seconds, epochs, accuracy and log_loss.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    address = f"sqlite:///file:{quote(str(file.resolve()))}?mode=ro&uri=true"
    with suppress(SQLAlchemyError, StorageInternalError, KeyError):
        storage = RDBStorage(address, skip_compatibility_check=True, skip_table_creation=True)
        try:
            begun = started_trials(optuna.load_study(study_name=file.parent.name, storage=storage))
        finally:
            storage.engine.dispose()
        return [_shown(trial) for trial in reversed(begun) if "repeats" not in trial.user_attrs]
    return []


def _shown(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    state = {TrialState.RUNNING: "running", TrialState.FAIL: "failed"}.get(trial.state, "ended")
    if is_damaged(trial):
        return {"number": trial.number, "model": "damaged", "state": "failed"}
    record = trial_record(trial, ())
    last: dict[str, Any] = record.results[-1] if record.results else {}
    figures: dict[str, Any] = {
        name: last[name] for name in ("seconds", "epochs", "accuracy", "log_loss") if name in last
    }
    return {"number": trial.number, "model": parameters(record), "state": state, **figures}
