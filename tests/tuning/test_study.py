"""A study in its database: its first trials, what a killed command costs, and machines that share it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, text

from digits.common.files import write_atomic
from digits.tuning.records import finished_trials, spent_seconds, started_trials
from digits.tuning.search import search
from digits.tuning.storage import open_storage
from digits.tuning.study import of_other_versions, open_study, requeue_killed
from toy_search import NAMED, PAUSE, RUNGS, Evaluation, make_older, opened, plan, run_search
from toys import ROOT

pytestmark = pytest.mark.slow

DRIVER = ROOT / "tests" / "toy_search.py"
Driver = Callable[..., "subprocess.Popen[str]"]


def test_first_trials_that_were_not_all_queued_are_queued_by_the_next(tmp_path: Path) -> None:
    """As after a kill in the middle of it; and what two machines queue is run once."""
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.create_study(storage=storage, study_name="test", direction="maximize")
    study.enqueue_trial({}, user_attrs={"queued": "default", "name": "default", "overrides": "{}"})
    evaluate = Evaluation()
    assert [trial.name for trial in run_search(tmp_path, evaluate, plan(n_trials=3))] == ["default", "wide", ""]
    study.enqueue_trial({}, user_attrs={"name": "wide", "overrides": '{"hidden_layer_sizes": [512]}'})
    run_search(tmp_path, evaluate, plan(n_trials=5))
    assert Counter(map(str, evaluate.evaluated))[str(NAMED["wide"])] == 1


def test_a_search_of_another_version_in_the_same_database_is_said_once(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    former, other, new = (open_study(storage, name) for name in ("train-1", "train-2", "train-3"))
    assert of_other_versions(former, "a search") == of_other_versions(other, "another one") == ""
    assert of_other_versions(new, "a search").startswith("train-1 in the same database is this search by another ver")
    assert of_other_versions(new, "a search") == ""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Starts a command that searches in the database at a URL, until the seconds in tmp_path/budget are spent.

    by_step: whether each of its trials waits for a line of standard input. temp: its folder of temporary files, as on a
    machine of its own. modes: as of toy_search.drive.
    """
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "budget").write_text("inf")

    def start(url: str, by_step: bool, *modes: str, temp: Path | None = None) -> "subprocess.Popen[str]":
        command = [sys.executable, str(DRIVER), url, str(tmp_path / "budget"), *modes]
        if temp:
            temp.mkdir(exist_ok=True)
        environment = {**os.environ, **({"TMPDIR": str(temp)} if temp else {})}
        stdin = subprocess.PIPE if by_step else subprocess.DEVNULL
        started.append(subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def step(process: "subprocess.Popen[str]", trials: int) -> None:
    """Let so many trials end, and wait until the next has started."""
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "trial\n"
    for _ in range(trials):
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "trial\n"


def overrides(trials: list[Any]) -> Counter[str]:
    """How often each parameter set was tried."""
    return Counter(str(sorted(trial.overrides.items())) for trial in trials)


def test_a_killed_search_goes_on_and_runs_again_what_was_cut(tmp_path: Path, driver: Driver) -> None:
    """SIGKILL in the middle of a trial: its parameters are tried again, and nothing else is."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    process = driver(url, by_step=True)
    step(process, 3)
    process.kill()
    process.wait()
    before = optuna.load_study(study_name="test", storage=url).trials
    [cut] = [trial for trial in before if trial.state == TrialState.RUNNING]
    evaluate = Evaluation()
    study = opened(url, plan(n_trials=12))
    search(study, plan(n_trials=12), evaluate, lambda: 1e6, 1, lambda _: None)
    assert study.trials[cut.number].state == TrialState.FAIL
    trials = finished_trials(study, RUNGS)
    assert len(trials) == 12
    assert max(overrides(trials).values()) == 1
    [again] = [trial for trial in study.trials if trial.system_attrs.get("retry_history") == [cut.number]]
    assert again.user_attrs["overrides"] == cut.user_attrs["overrides"]
    assert evaluate.evaluated[0] == next(trial.overrides for trial in trials if trial.number == again.number)


def test_a_trial_that_was_never_begun_costs_no_time_and_is_run_by_the_next_morning(
    tmp_path: Path, driver: Driver
) -> None:
    """SIGKILL between Optuna's claim of the first trial, the default's, and its first heartbeat."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    process = driver(url, True, "no heartbeat", temp=tmp_path / "temp")
    step(process, 0)
    process.kill()
    process.wait()
    study = opened(url, plan())
    assert study.trials[0].state == TrialState.RUNNING  # until no command can be about to begin it
    assert spent_seconds([study], time.time() + 9000) == 0
    assert started_trials(study) == []
    make_older(url, "trials.datetime_start", 8)
    study = opened(url, plan())
    assert study.trials[0].state == TrialState.FAIL
    assert spent_seconds([study], time.time()) == 0
    evaluate = Evaluation()
    search(study, plan(n_trials=3), evaluate, lambda: 1e6, 1, lambda _: None)
    assert [trial.name for trial in finished_trials(study, RUNGS)].count("default") == 1
    assert len(finished_trials(study, RUNGS)) == 3


@pytest.mark.parametrize("shared_temp", [True, False])
def test_containers_with_one_host_name_leave_each_other_their_trials(
    shared_temp: bool, tmp_path: Path, driver: Driver
) -> None:
    """Their processes do not see each other's ids; their folders of temporary files may be one or two."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    process = driver(url, True, "container", temp=None if shared_temp else tmp_path / "temp")
    step(process, 1)
    study = opened(url, plan())
    requeue_killed(study)
    [running] = study.get_trials(states=(TrialState.RUNNING,))
    (tmp_path / "budget").write_text("0")
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert study.trials[running.number].state in (TrialState.COMPLETE, TrialState.PRUNED)
    assert not [trial for trial in study.trials if "retry_history" in trial.system_attrs]


def test_the_time_of_a_machine_that_died_is_not_counted(tmp_path: Path, driver: Driver) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    process = driver(url, True, temp=tmp_path / "temp")
    step(process, 0)
    process.kill()
    process.wait()
    make_older(url, "trials.datetime_start", 8)
    make_older(url, "trial_heartbeats.heartbeat", 8)
    study = opened(url, plan())
    assert study.trials[0].state == TrialState.FAIL
    assert spent_seconds([study], time.time()) == 0


def test_no_lock_of_an_ended_command_stays(tmp_path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of one that was killed, once its trials are queued again, nor of one that ended by itself."""
    url, temp = f"sqlite:///{tmp_path / 'study.db'}", tmp_path / "temp"
    process = driver(url, True, temp=temp)
    step(process, 1)
    [lock] = temp.iterdir()
    process.kill()
    process.wait()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    study = opened(url, plan())
    assert study.trials[1].state == TrialState.FAIL
    assert not lock.exists()
    [again] = [trial for trial in study.trials if trial.system_attrs.get("retry_history") == [1]]
    assert "driver" not in again.user_attrs  # which would make it one that has begun, and whose command has ended
    (tmp_path / "budget").write_text("0")
    ending = driver(url, False, temp=tmp_path / "other")
    ending.communicate(timeout=60)
    assert ending.returncode == 0
    assert [*(tmp_path / "other").iterdir()] == []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL server of our own; called with a command of pg_ctl, it runs that and returns the server's URL."""
    programs = [Path(path).parent for path in (shutil.which("initdb"),) if path and shutil.which("pg_ctl")]
    programs += [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if not programs:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed here, as by: apt-get install postgresql")
    # not below tmp_path, which every start of pytest closes to all users but its own
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    account: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if account:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")

    def call(program: str, *options: str) -> None:
        command = [str(programs[0] / program), "-D", str(folder / "data"), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **account)

    def control(command: str) -> str:
        # reached by a file in its folder alone, and by no port that another program may have
        options = ["-o", f"-k {folder} -c listen_addresses=''"] if command != "stop" else []
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-m", "fast", *options, command)
        return f"postgresql+psycopg://digits@/postgres?host={folder}"

    call("initdb", "-U", "digits", "-A", "trust")
    control("start")
    yield control
    control("stop")
    shutil.rmtree(folder)


def spent_before(trials: list[FrozenTrial], moment: datetime) -> float:
    """Seconds of the budget that were spent by then."""
    started = [copy(trial) for trial in trials if trial.datetime_start and trial.datetime_start < moment]
    for trial in started:
        trial.datetime_complete = min(trial.datetime_complete or moment, moment)
    study: Any = SimpleNamespace(get_trials=lambda deepcopy: started)
    seconds: float = spent_seconds([study], moment.timestamp())
    return seconds


def test_three_machines_share_a_search_its_budget_and_a_database_that_is_restarted(
    tmp_path: Path, postgres: Callable[[str], str], driver: Driver
) -> None:
    """One is killed in the middle of a trial; at the end every trial is accounted for, and none was run twice."""
    url = postgres("status")
    by_steps = {"killed": True, "second": False, "third": False}
    killed, *others = [driver(url, by_step, temp=tmp_path / name) for name, by_step in by_steps.items()]
    step(killed, 2)
    for process in others:
        assert process.stdout
        assert process.stdout.readline() == "trial\n"
    study = optuna.load_study(study_name="test", storage=open_storage(url))
    [lock] = (tmp_path / "killed").iterdir()
    running = study.get_trials(states=(TrialState.RUNNING,))
    [cut] = [trial for trial in running if trial.user_attrs.get("driver") == lock.name]
    heartbeats = "FROM trial_heartbeats WHERE trial_id = :trial"
    engine = create_engine(url, pool_pre_ping=True)

    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in others)
            time.sleep(0.1)

    def execute(statement: str) -> int:
        with engine.begin() as connection:
            return connection.execute(text(statement), {"trial": cut._trial_id}).rowcount

    wait_until(lambda: execute(f"SELECT * {heartbeats}") == 1)
    killed.kill()
    killed.wait()
    postgres("restart")
    # as if it had been killed an hour ago
    late = "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour' WHERE trial_id = :trial"
    assert execute(late) == 1

    def retried() -> list[FrozenTrial]:
        return [trial for trial in study.trials if trial.system_attrs.get("retry_history") == [cut.number]]

    wait_until(lambda: all(trial.state.is_finished() for trial in retried() or [cut]))
    wait_until(lambda: len(finished_trials(study, RUNGS)) > 12)
    budget = spent_seconds([study], time.time()) + 1
    write_atomic(tmp_path / "budget", str(budget))
    for process in others:
        process.communicate(timeout=120)
        assert process.returncode == 0
    states = Counter(trial.state for trial in study.trials)
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.FAIL] == 1
    assert study.trials[cut.number].state == TrialState.FAIL
    assert "cause" not in study.trials[cut.number].user_attrs
    [again] = retried()
    assert again.user_attrs["overrides"] == cut.user_attrs["overrides"]
    assert again.state in (TrialState.COMPLETE, TrialState.PRUNED)
    trials = finished_trials(study, RUNGS)
    assert max(overrides(trials).values()) == 1
    assert {trial.name for trial in trials} == {*NAMED, ""}
    # both search until the budget is spent; after it each may start the one trial that it had decided on before
    assert spent_seconds([study], time.time()) > budget - 2 * PAUSE
    starts = [trial.datetime_start for trial in study.trials if trial.datetime_start]
    assert sum(spent_before(study.trials, start) > budget for start in starts) <= len(others)
