"""The database of studies: a local file, or a server that several machines share."""

import logging
import warnings
from collections.abc import Callable
from functools import wraps
from inspect import ismethod
from time import monotonic, sleep
from typing import Any, cast

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from digits.common.errors import UserError
from digits.common.logs import log

HEARTBEAT = 5  # seconds between two heartbeats of a running trial
GRACE = 30  # seconds without a heartbeat after which another machine runs the trial
PATIENCE = 120.0  # seconds that a database may be away
_PAUSE = 0.5  # seconds between two attempts
_ATTEMPTS = 10  # to open a database


class _Patient:
    """Repeats every call of a storage while its database is away, for PATIENCE seconds at most.

    It stands between the storage and Optuna's cache, which is the only one to call it; so each call is one transaction,
    and the storage's calls of its own methods are not repeated by themselves.
    """

    def __init__(self, storage: RDBStorage):
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._storage, name)
        return _patient(value) if ismethod(value) else value


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        deadline = monotonic() + PATIENCE
        repeated = False
        while True:
            try:
                return method(*args, **kwargs)
            except UpdateFinishedTrialError:
                if not repeated:
                    raise
                return True  # the first call was carried out, and only its answer was lost
            except (DBAPIError, StorageInternalError) as error:
                if monotonic() > deadline:
                    raise UserError(f"the study's database does not answer: {_message(error)}") from None
                log.warning("the study's database does not answer, trying again: %s", _message(error))
            repeated = True
            sleep(_PAUSE)

    return call


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue a trial with the same parameters and attributes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)


def fail_stale_trials(study: optuna.Study) -> None:
    """Enqueue again the running trials whose heartbeat has stopped; `optimize` does the same before each trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def open_storage(url: str) -> BaseStorage:
    """The database at `url`, such as sqlite:///study.db or postgresql://user:password@host/name.

    Raises UserError if there is none, or if its driver is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy").setLevel(logging.ERROR)
    try:
        is_file = make_url(url).get_backend_name() == "sqlite"
    except ArgumentError:
        raise UserError("STORAGE: not an address of a database, as postgresql://user:password@host/name") from None
    # of a file: seconds that one writer waits for another
    options = {"connect_args": {"timeout": 60}} if is_file else {"pool_pre_ping": True}
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(_PAUSE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats
                storage = RDBStorage(
                    url,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=requeue,
                )
        except (ImportError, NoSuchModuleError) as error:
            raise UserError(f"STORAGE: {_message(error)}; known here are sqlite and postgresql") from None
        except (DBAPIError, StorageInternalError) as error:  # also where two machines create the same tables
            fault = _message(error)
        else:
            if is_file:
                _lock_from_start(storage.engine)
            return optuna.storages._CachedStorage(cast(RDBStorage, _Patient(storage)))
    raise UserError(f"STORAGE: the database does not answer: {fault}")


def _lock_from_start(engine: Engine) -> None:
    """Let each transaction of SQLite lock the file from its start.

    SQLite does not lock rows, so two workers could both read that a trial waits, and both run it.
    """

    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    engine.dispose()  # of connections from before


def _message(error: BaseException) -> str:
    """The database's own message, in one line."""
    cause = error.__cause__ or error
    return " ".join(str(getattr(cause, "orig", None) or cause).split())
