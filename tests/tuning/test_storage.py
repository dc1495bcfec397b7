"""A database that is away for a while."""

import random
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from digits.common.errors import UserError
from digits.tuning import storage
from digits.tuning.records import finished_trials, started_trials
from digits.tuning.storage import STOPPED, begin, check_database, open_storage, requeue, surviving
from toy_search import Evaluation, opened, plan, run_search
from toys import DAMAGES

pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")  # which needs `optimize`

AWAY = OperationalError("SELECT 1", {}, Exception("the server closed\nthe connection"))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """With one trial that is running."""
    monkeypatch.setattr(storage, "_PAUSE", 0.0)
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"))
    study.ask()
    return study


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, times: int, carried_out: bool) -> None:
    """Let the first calls of a method of the database fail, before or after they are carried out."""
    method, left = getattr(RDBStorage, name), [times]

    def call(*args: Any, **kwargs: Any) -> Any:
        if left[0] and carried_out:
            method(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            raise error
        return method(*args, **kwargs)

    monkeypatch.setattr(RDBStorage, name, call)


def test_a_file_waits_for_the_disk_once_in_some_seconds(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    now, modes = monotonic(), list[int]()

    def on_commit(connection: Connection) -> None:
        modes.append(int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one()))

    event.listen(study._storage._backend.engine, "commit", on_commit)  # type: ignore[attr-defined]
    for later, flushed in ((6.0, 1), (10.9, 0), (11.1, 1)):
        monkeypatch.setattr(storage, "monotonic", lambda later=later: now + later)
        modes.clear()
        for number in range(10):
            study.set_user_attr("number", number)
        assert len(modes) >= 10
        assert modes.count(2) == flushed, "2 is FULL"


@pytest.mark.parametrize("error", [AWAY, StorageInternalError("commit")])
@pytest.mark.parametrize("name", ["_get_trials", "set_trial_state_values", "record_heartbeat", "create_new_study"])
def test_every_call_waits_until_the_database_is_back(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    failing(monkeypatch, name, error, times=3, carried_out=False)
    [trial] = study.trials
    study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    study.tell(trial.number, 0.5)
    assert study.trials[0].state == TrialState.COMPLETE
    assert study.best_value == 0.5
    assert optuna.create_study(storage=study._storage, study_name="other").trials == []


def test_a_lost_answer_is_no_error(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated call finds a trial that has ended; a call that was not repeated is refused."""
    failing(monkeypatch, "set_trial_state_values", AWAY, times=1, carried_out=True)
    study.tell(0, 0.5)
    assert study.trials[0].state == TrialState.COMPLETE
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_user_attr(study.trials[0]._trial_id, "key", 1)


@pytest.mark.parametrize(("name", "waiting"), [("_create_new_trial", 0), ("set_trial_state_values", 2)])
def test_a_claim_whose_answer_was_lost_costs_no_time_and_is_run_later(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch, name: str, waiting: int
) -> None:
    study.tell(0, 0.5)
    for _ in range(waiting):
        study.enqueue_trial({"x": 0.5})
    failing(monkeypatch, name, AWAY, times=1, carried_out=True)

    def objective(trial: optuna.Trial) -> float:
        begin(study, trial)
        return trial.suggest_float("x", 0, 1)

    study.optimize(objective, n_trials=1)
    lost, run = study.trials[1:]
    assert (lost.state, run.state) == (TrialState.RUNNING, TrialState.COMPLETE)
    assert lost not in started_trials(study)
    monkeypatch.setattr(storage, "PATIENCE", -storage.GRACE)  # as if it had been lost long ago
    optuna.storages.fail_stale_trials(study)
    assert [trial.state for trial in study.trials[1:]] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.WAITING]
    assert study.trials[3].system_attrs["retry_history"] == [lost.number]


def test_a_database_that_stays_away_is_a_line(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.0)
    failing(monkeypatch, "_get_trials", AWAY, times=10_000, carried_out=False)
    message = "^the study's database does not answer: the server closed the connection; retry later$"
    with pytest.raises(UserError, match=message):
        _ = study.trials


@pytest.mark.parametrize(
    ("url", "remedy"),
    [("postgresql://host/name", "type: pip install 'digits[database]'"), ("nosuch://host/name", "use a postgresql://")],
)
def test_a_driver_that_is_not_installed_is_named(url: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails, as where it is not installed
    with pytest.raises(UserError, match=re.escape(remedy)):
        open_storage(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_an_address_of_postgresql_is_read_and_no_password_is_said(
    scheme: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "_PAUSE", 0.0)
    with pytest.raises(UserError, match=r"^STORAGE: the database does not answer: .*; check its address$") as caught:
        open_storage(f"{scheme}://me:canary@127.0.0.1:9/none")
    assert "canary" not in str(caught.value) + caplog.text


def test_a_search_never_takes_its_own_trials_for_stale(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the sleep of a laptop, when its heartbeats are late; those of another machine are taken."""
    begin(study, optuna.Trial(study, study.trials[0]._trial_id))
    monkeypatch.setattr(storage._Storage, "_get_stale_trial_ids", RDBStorage._get_stale_trial_ids)
    late = make_older(study, hours=1)
    assert late == [study.trials[0]._trial_id]
    monkeypatch.undo()
    optuna.storages.fail_stale_trials(study)
    assert study.trials[0].state == TrialState.RUNNING


def make_older(study: optuna.Study, hours: int) -> list[int]:
    """Move the last heartbeats back; returns the trials that are stale then, as Optuna alone would find them."""
    backend: Any = study._storage
    with backend._backend.engine.begin() as connection:
        connection.execute(text(f"UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-{hours} hours')"))
    stale: list[int] = backend._get_stale_trial_ids(study._study_id)
    return stale


def test_a_search_goes_on_where_another_machine_has_taken_its_trial(study: optuna.Study) -> None:
    """Whose result then counts for nothing, as when a computer wakes up after the others have waited long enough."""
    study.tell(0, 0.5)
    taken: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        begin(study, trial)
        if not taken:
            taken.append(trial.number)
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return 0.7

    for _ in range(2):
        with surviving():
            study.optimize(objective, n_trials=1)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    with pytest.raises(ValueError, match="another"), surviving():
        raise ValueError("another fault")


@pytest.mark.parametrize(("stopped", "tries"), [(False, 3), (True, 6)])
def test_a_trial_whose_process_is_killed_again_and_again_has_failed(
    study: optuna.Study, stopped: bool, tries: int
) -> None:
    """What the user stops is not killed."""
    for number in range(tries):
        trial = optuna.Trial(study, study.trials[-1]._trial_id) if number == 0 else study.ask()
        begin(study, trial)
        if stopped:
            trial.set_user_attr(STOPPED, True)
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        requeue(study, study.trials[-1])
    last = study.trials[-1]
    assert last.state == (TrialState.WAITING if stopped else TrialState.FAIL)
    cause = "its process was killed 3 times, most often because memory ran out"
    assert last.user_attrs.get("cause") == (None if stopped else cause)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_gives_no_other_results(damage: str, tmp_path: Path) -> None:
    """It is set aside if it cannot be read; else each result is the one that was written, or is left out."""
    url, generator, made = f"sqlite:///{tmp_path / 'study.db'}", random.Random(0), plan(n_trials=6)
    run_search(tmp_path, Evaluation(), made)
    whole = (tmp_path / "study.db").read_bytes()
    written = {trial.number: trial for trial in finished_trials(opened(url, made), made.rungs)}
    for _ in range(12):
        (tmp_path / "study.db").write_bytes(whole)
        DAMAGES[damage](tmp_path / "study.db", generator)
        check_database(tmp_path / "study.db")
        found = finished_trials(opened(url, made), made.rungs)
        for trial in found:
            assert (trial.overrides, trial.results) == (
                written[trial.number].overrides,
                written[trial.number].results,
            )
        for kept in tmp_path.glob(".damaged-study.db-*"):
            assert found == []
            kept.unlink()


@pytest.mark.parametrize("what", [b'"accuracy": 0.', b'hidden_layer_sizes\\": ['])
def test_a_changed_digit_in_a_result_or_its_overrides_leaves_that_trial_out(what: bytes, tmp_path: Path) -> None:
    file, made = tmp_path / "study.db", plan(n_trials=6)
    run_search(tmp_path, Evaluation(), made)
    written = finished_trials(opened(f"sqlite:///{file}", made), made.rungs)
    content = bytearray(file.read_bytes())
    places = [match.end() for match in re.finditer(re.escape(what) + rb"(?=\d)", content)]
    for at in places[::-1]:  # the last one is the newest page that SQLite reads, others may be of freed pages
        content[at] = ord("5") if content[at] != ord("5") else ord("6")
    file.write_bytes(content)
    check_database(file)
    found = finished_trials(opened(f"sqlite:///{file}", made), made.rungs)
    assert len(found) < len(written)
    assert all(trial in written for trial in found)


@pytest.mark.parametrize("name", ["a%20b?c", "plain"])
def test_a_database_that_another_command_writes_to_is_not_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is another one made beside it, whatever its path contains."""
    (tmp_path / name).mkdir()
    file = tmp_path / name / "study.db"
    optuna.create_study(storage=open_storage(f"sqlite:///{file}"))
    check_database(file)
    monkeypatch.setattr(storage, "_LOCKED", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        check_database(file)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert capsys.readouterr().err == ""
