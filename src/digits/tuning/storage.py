"""The database of studies: a local file, or a server that several machines share."""

import logging
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from datetime import datetime, timedelta
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import wraps
from inspect import ismethod
from math import inf
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir
from time import monotonic, sleep
from typing import Any, cast
from weakref import finalize

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from digits.common.disk import refusal
from digits.common.errors import DiskError, UserError
from digits.common.logs import log
from digits.common.sealed import set_aside

HEARTBEAT = 5  # seconds between two heartbeats of a running trial
GRACE = 30  # seconds without a heartbeat after which another machine runs the trial
PATIENCE = 120.0  # seconds that a database may be unreachable
# every way to write it; the driver that is installed is psycopg
_POSTGRES = re.compile(r"^postgres(ql)?(\+psycopg)?://")
_FILE = "sqlite:///"
_PAUSE = 0.5  # seconds between two attempts
_FLUSHED = 5.0  # seconds between two transactions of a file that wait for the disk
_LOCKED = 60.0  # seconds that one writer of a file waits for another
# primary codes of errors that what is in a file can cause; 0: of the module itself
_OF_CONTENT = (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ATTEMPTS = 10  # to open a database
_LOCK = "digits-tune-"  # begins the names of the temporary files
_MOST_KILLS = 3  # of the process of a trial
_KILLED = "killed"  # attribute: how often its process was killed
STOPPED = "stopped"  # attribute: the user or the end of the time has stopped it


class _Storage(RDBStorage):
    """A database that also finds the running trials whose command has ended.

    A command locks a temporary file with a random name, and marks its trials with this name, the `driver`. The system
    releases the lock when the process ends, however it ends. A process id would not do: ids are reused, and each
    container has its own. The file is in a folder of this machine, because locks on a network file system may not reach
    other machines. If there is no such file, heartbeats alone decide.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        lock = NamedTemporaryFile(prefix=_LOCK)  # noqa: SIM115 - removed with the storage
        finalize(self, lock.close)  # at the end of the process at the latest
        with suppress(OSError):  # a file system without locks: heartbeats alone decide
            flock(lock, LOCK_EX)
        self.driver = Path(lock.name).name

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Trials without a recent heartbeat, those whose driver has ended, and those claimed long ago but not begun.

        Never this command's own: after the sleep of a laptop its heartbeats are late. A command may be killed between
        the claim of a trial and its first heartbeat, and a claim is repeated if its answer was lost.
        """
        stale = set(super()._get_stale_trial_ids(study_id))
        running = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
        drivers = {trial._trial_id: trial.user_attrs["driver"] for trial in running if "driver" in trial.user_attrs}
        ended = {driver for driver in set(drivers.values()) if _has_ended(driver)}
        stale |= {number for number, driver in drivers.items() if driver in ended}
        stale -= {number for number, driver in drivers.items() if driver == self.driver}
        long_ago = datetime.now() - timedelta(seconds=PATIENCE + GRACE)  # noqa: DTZ005 - Optuna's times have no zone
        claimed = {trial._trial_id: trial.datetime_start or long_ago for trial in running}
        return [*stale, *(number for number in claimed.keys() - drivers.keys() - stale if claimed[number] < long_ago)]


def _has_ended(driver: str) -> bool:
    """Whether a driver was a process of this machine that has ended; if so, its file is removed."""
    path = Path(gettempdir()) / Path(driver).name
    if not path.name.startswith(_LOCK):  # whoever shares the database might name any file
        return False
    try:
        with path.open() as file:
            flock(file, LOCK_SH | LOCK_NB)
            path.unlink()
    except OSError:  # it is locked, or there is none
        return False
    return True


class _Patient:
    """Repeats every call to a storage while its database is unreachable, for PATIENCE seconds at most.

    It stands between the storage and Optuna's cache, and only the cache calls it. So each call is one transaction, and
    calls that the storage makes to its own methods are not repeated separately.
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
                    full = _full_disk(error, cast(Any, method).__self__.engine.url)
                    said = f"the study's database does not answer: {_message(error)}; retry later"
                    raise full or UserError(said) from None
                log.warning("the study's database does not answer, trying again: %s", _message(error))
            repeated = True
            sleep(_PAUSE)

    return call


def begin(study: optuna.Study, trial: Trial) -> None:
    """Record a first heartbeat, then mark a trial as this command's; its time counts from here on."""
    storage: Any = study._storage
    storage.record_heartbeat(trial._trial_id)
    trial.set_user_attr("driver", storage._backend.driver)


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue a trial with the same parameters and attributes, except its driver; fail one that was killed too often.

    What the user or the end of the time has stopped was not killed.
    """
    again = deepcopy(trial)
    again.user_attrs.pop("driver", None)
    again.user_attrs[_KILLED] = again.user_attrs.get(_KILLED, 0) + (not again.user_attrs.pop(STOPPED, False))
    if again.user_attrs[_KILLED] < _MOST_KILLS:
        RetryHeartbeatStaleTrialCallback()(study, again)
        return
    again.user_attrs["cause"] = f"its process was killed {_MOST_KILLS} times, most often because memory ran out"
    again.system_attrs["retry_history"] = [*again.system_attrs.get("retry_history", []), trial.number]
    study.add_trial(again)


@contextmanager
def surviving() -> Iterator[None]:
    """Let a search go on where another machine has taken one of its trials, as from a computer that was asleep."""
    try:
        yield
    except (ValueError, AssertionError) as error:
        refused = error.__context__ if isinstance(error, AssertionError) else error
        if not str(refused).startswith("Cannot tell a"):  # Optuna's, of a trial that has ended already
            raise
        log.warning("a trial of this command was run by another one: %s", refused)


def open_storage(url: str) -> BaseStorage:
    """The database at `url`, such as sqlite:///study.db or postgresql://user:password@host/name.

    Raises UserError if it cannot be opened, or if its driver is not installed.
    """
    warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats, of the sampler's `group`, of importances
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("sqlalchemy").setLevel(logging.ERROR)
    try:
        address = (
            URL.create("sqlite", database=url.removeprefix(_FILE))  # a path may contain % and ?
            if url.startswith(_FILE)
            else make_url(_POSTGRES.sub("postgresql+psycopg://", url))
        )
    except ArgumentError:
        raise UserError("STORAGE: not a database address, such as postgresql://user:password@host/name") from None
    backend = address.get_backend_name()
    if backend == "sqlite":
        options: dict[str, Any] = {"connect_args": {"timeout": _LOCKED}}
    else:  # PgBouncer hands the next statement to another connection, which knows none of the prepared ones
        options = {"pool_pre_ping": True, "connect_args": {"prepare_threshold": None}}
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(_PAUSE)
        try:
            storage = _Storage(
                address.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=requeue,
            )
        except (ImportError, NoSuchModuleError) as error:
            known = "type: pip install 'digits[database]'" if backend == "postgresql" else "use a postgresql:// address"
            raise UserError(f"STORAGE: {_message(error)}; {known}") from None
        except (DBAPIError, StorageInternalError) as error:  # also if two machines create the same tables
            fault, full = _message(error), _full_disk(error, address)
        else:
            if backend == "sqlite":
                _suit(storage.engine)
            return optuna.storages._CachedStorage(cast(RDBStorage, _Patient(storage)))
    raise full or UserError(f"STORAGE: the database does not answer: {fault}; check its address")


def _full_disk(error: Exception, address: URL) -> DiskError | None:
    """The error for the user where a database in a file finds no room."""
    local = address.get_backend_name() == "sqlite" and address.database
    return refusal(Exception(_message(error)), Path(local)) if local else None


def check_database(file: Path) -> None:
    """Set a study's file aside if SQLite or Optuna cannot read what is in it, so that its search begins anew.

    Faults of another kind, as a full disk or a lock, are left to `open_storage`.
    """
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=_LOCKED)) as connection:
            [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
        fault = "it is empty" if not file.stat().st_size else "" if answer == "ok" else str(answer)
        if not fault:
            _read_all(file)
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF not in _OF_CONTENT:
            return
        fault = _message(error)
    if fault:
        set_aside(file, fault, "its search begins anew")


def _read_all(file: Path) -> None:
    address = URL.create("sqlite", database=str(file)).render_as_string()
    storage = RDBStorage(address, {"connect_args": {"timeout": _LOCKED}})
    try:
        for study in storage.get_all_studies():
            storage.get_all_trials(study._study_id, deepcopy=False)
    finally:
        storage.engine.dispose()


def _suit(engine: Engine) -> None:
    """Let each transaction of SQLite lock the file from its start, and few of them wait for the disk.

    SQLite does not lock rows, so two workers could both read that a trial waits, and both run it. A trial makes about
    30 transactions, of which each waits 10 to 20 ms where it is flushed; so one in _FLUSHED seconds is flushed, with
    those before it. After a kill nothing is lost; a power failure loses seconds, or damages the file, which is noticed.
    """
    flushed = -inf

    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself

    def on_begin(connection: Connection) -> None:
        nonlocal flushed
        if due := monotonic() > flushed + _FLUSHED:
            flushed = monotonic()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if due else 'OFF'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    engine.dispose()  # of connections from before


def _message(error: BaseException) -> str:
    """The database's own message, in one line."""
    return " ".join(str(_cause(error)).split())


def _cause(error: BaseException) -> BaseException:
    """The database's own error."""
    wrapped = error.__cause__ or error
    return getattr(wrapped, "orig", None) or wrapped
