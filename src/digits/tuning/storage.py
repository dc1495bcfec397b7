"""Optuna's memory: a local database file, or one on a server that several machines share."""

import logging
import warnings
from collections.abc import Callable
from functools import wraps
from time import monotonic, sleep
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from digits.common.errors import UserError
from digits.common.logs import log

HEARTBEAT = 5  # seconds between two signs of life of a running trial
GRACE = 30  # seconds without one after which a trial is given to somebody else
PATIENCE = 120.0  # seconds that a database may be away
_PAUSE = 0.5  # seconds between two attempts
_ATTEMPTS = 10  # to open a database

# what a study asks of its database, as far as optuna.storages hands it on
_CALLS = (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
    "create_new_trial",
    "get_all_studies",
    "get_best_trial",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "record_heartbeat",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
)


class PatientStorage(RDBStorage):
    """A database that may be away for PATIENCE seconds, as while it is started anew: calls wait until it is back."""


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(*given: Any, **named: Any) -> Any:
        deadline = monotonic() + PATIENCE
        again = False
        while True:
            try:
                return method(*given, **named)
            except UpdateFinishedTrialError:
                if not again:
                    raise
                return True  # the call before was heard, only its answer was lost
            except (DBAPIError, StorageInternalError) as error:
                if monotonic() > deadline:
                    raise UserError(f"the study's database does not answer: {_last_line(error)}") from None
                log.warning("the study's database does not answer, trying again: %s", _last_line(error))
            again = True
            sleep(_PAUSE)

    return called


for _name in _CALLS:
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))


def queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Add a trial with the same parameters and attributes, to be run by whoever asks next."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)


def give_up_stale(study: optuna.Study) -> None:
    """Queue again what is running without a sign of life; `optimize` does it before each trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def open_storage(url: str) -> RDBStorage:
    """The database at `url`, such as sqlite:///study.db or postgresql://user:word@host/name.

    Raises UserError where there is none or what speaks to it is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy").setLevel(logging.ERROR)
    try:
        local = make_url(url).get_backend_name() == "sqlite"
    except ArgumentError:
        raise UserError("STORAGE: not an address of a database, as postgresql://user:password@host/name") from None
    # of a file: seconds that one writer waits for another
    options = {"connect_args": {"timeout": 60}} if local else {"pool_pre_ping": True}
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(_PAUSE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats
                storage = PatientStorage(
                    url,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=queue_again,
                )
                if local:
                    _one_at_a_time(storage.engine)
                return storage
        except (ImportError, NoSuchModuleError) as error:
            raise UserError(f"STORAGE: {_last_line(error)}; known here are sqlite and postgresql") from None
        except (DBAPIError, StorageInternalError) as error:  # also where two machines make the same tables at once
            fault = _last_line(error)
    raise UserError(f"STORAGE: the database does not answer: {fault}")


def _one_at_a_time(engine: Engine) -> None:
    """Let each transaction of SQLite lock the file from its start.

    It has no locks for rows, so two workers could both read that a trial waits, and both run it.
    """

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    engine.dispose()  # of connections from before


def _last_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return " ".join(str(getattr(cause, "orig", None) or cause).split())
