"""The search: what comes first, who goes on, what is never run twice, what a kill or a lost database costs."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, ProcessStoppedError
from digits.config import Params
from digits.data.dataset import Dataset
from digits.evaluation.metrics import accuracy
from digits.models.search_space import narrow_space
from digits.training.crossval import fit
from digits.tuning.confirmation import Unit, confirm, confirmed, gain, leader, next_units, open_confirmation
from digits.tuning.report import best_of, furthest, saved_share
from digits.tuning.search import Plan, TrialRecord, finished_trials, open_study, search, spent_seconds, value_of
from digits.tuning.storage import open_storage
from digits.tuning.trial import shortened
from digits.tuning.trial_fits import Fits

FIRST = {"default": {}, "wide": {"hidden_layer_sizes": [512]}}


def plan(space: dict[str, Any] | None = None, **changes: Any) -> Plan:
    made: dict[str, Any] = {
        "kind": "mlp",
        "space": narrow_space("mlp", space or {}),
        "first": FIRST,
        "start": {},
        "lengths": (1, 4, 16),
        "reduction": 4,
        "seed": 0,
        "trials": 20,
    }
    return Plan(**made | changes)


def result(accuracy: float, length: int, seconds: float = 1.0) -> dict[str, Any]:
    return {"length": length, "accuracy": accuracy, "log_loss": 0.1, "seconds": seconds, "history": []}


def fits(params: Params, data: Dataset, **changes: Any) -> Fits:
    made: dict[str, Any] = {
        "default": params.train.spec.model_dump(mode="json"),
        "normalise": "/255",
        "lengths": (1, 2),
        "largest": 2.0,
        "timeout": 120.0,
        "left": lambda: 1e6,
        "stopped": threading.Event(),
        "usual": lambda: 1e6,
    }
    return Fits(data, **made | changes)


def test_the_overrides_are_what_is_fitted(toy_params: Params, toy_data: Dataset) -> None:
    """Also their normalisation; and the time of every fit is counted."""
    asked = fits(toy_params, toy_data)
    told: list[dict[str, Any]] = []

    def enough(result: dict[str, Any]) -> bool:
        told.append(result)
        return False

    asked.judge({"layers": "16"}, 3, 1, enough)
    other = asked.full({"layers": "16", "normalise": "standard"}, 3, 1)
    model = asked.default | {"layers": "16"}
    rows = toy_data.valid_rows(1)
    for found, length, normalise in ((told[0], 1, "/255"), (other, 2, "standard")):
        here = fit(toy_data, 1, shortened(model, length), normalise, 3).predict_proba(toy_data.images[rows])
        assert found["accuracy"] == accuracy(here, np.asarray(toy_data.labels)[rows]).value
    assert asked.seconds == [told[0]["seconds"], other["seconds"]]


@pytest.mark.parametrize(
    ("overrides", "changes", "kind", "cause"),
    [
        ({"layers": "64C5 64C5"}, {}, ValueError, "times the multiplications of the default"),
        ({"layers": "8C3 MP2 MP2 MP2 MP2 MP2"}, {}, ValueError, "image"),
        ({"learning_rate": -1.0}, {}, ValueError, "learning_rate"),
        ({}, {"usual": lambda: 0.01}, ValueError, "a first fit of more than 0 s, 2 times the default's"),
        ({}, {"timeout": 0.02}, ProcessDiedError, "took longer than 0 s"),
    ],
)
def test_what_is_no_model_too_large_too_slow_or_too_long_is_told_apart(
    toy_params: Params, toy_data: Dataset, overrides: dict[str, Any], changes: Any, kind: Any, cause: str
) -> None:
    asked = fits(toy_params, toy_data, **changes)
    with pytest.raises(kind, match=cause):
        asked.judge(overrides, 3, 1, lambda _: True)
    assert len(asked.seconds) == (1 if changes else 0)


def test_an_interruption_ends_a_fit_that_would_take_hours(toy_params: Params, toy_data: Dataset) -> None:
    stopped = threading.Event()
    asked = fits(toy_params, toy_data, lengths=(10_000,), timeout=1e6, stopped=stopped)
    threading.Timer(3.0, stopped.set).start()
    with pytest.raises(ProcessStoppedError):
        asked.judge({}, 3, 1, lambda _: True)


def test_what_was_stopped_is_run_again(tmp_path: Path) -> None:
    left = [10.0]

    def stopped(overrides: dict[str, Any], answer: Callable[[dict[str, Any]], bool]) -> None:
        answer(result(0.9, 1))
        left[0] = 0.0
        raise ProcessStoppedError("was stopped")

    assert run(tmp_path, stopped, plan(trials=None), left=lambda: left[0]) == []
    judge = Judge(worth)
    names = [trial.name for trial in run(tmp_path, judge, plan(trials=4))]
    assert names.count("default") == 1 and judge.asked.count(FIRST["default"]) == 1


class Judge:
    """Judges by a function of the overrides, and counts."""

    def __init__(self, worth: Callable[[dict[str, Any]], float]):
        self.worth = worth
        self.asked: list[dict[str, Any]] = []

    def __call__(self, overrides: dict[str, Any], answer: Callable[[dict[str, Any]], bool]) -> None:
        self.asked.append(overrides)
        for length in (1, 4, 16):
            if not answer(result(self.worth(overrides), length)):
                return


def worth(overrides: dict[str, Any]) -> float:
    """Best at a learning rate of 0.003."""
    return 0.9 - abs(float(overrides.get("learning_rate_init", 0.1)) - 0.003)


def run(
    folder: Path, judge: Any, asked: Plan, left: Callable[[], float] = lambda: 1e6, workers: int = 1
) -> list[TrialRecord]:
    study = open_study(open_storage(f"sqlite:///{folder / 'study.db'}"), "test", asked, shared=False)
    told: list[TrialRecord] = []
    search(study, asked, judge, left, workers, told.append)
    found = finished_trials(study, asked)
    assert {trial.number for trial in told} <= {trial.number for trial in found}
    return found


def test_the_default_and_the_named_come_first(tmp_path: Path) -> None:
    judge = Judge(worth)
    trials = run(tmp_path, judge, plan())
    assert judge.asked[:2] == [*FIRST.values()]
    assert [trial.name for trial in trials[:3]] == ["default", "wide", ""]
    assert len(trials) == len(judge.asked) == 20


def test_the_first_that_is_drawn_is_where_to_start(tmp_path: Path) -> None:
    judge = Judge(worth)
    run(
        tmp_path,
        judge,
        plan(trials=4, start={"hidden_layers": 1, "width_1": 32, "solver": "adam", "learning_rate": 0.004}),
    )
    assert judge.asked[2]["hidden_layer_sizes"] == [32] and judge.asked[2]["learning_rate_init"] == 0.004
    assert judge.asked[3]["learning_rate_init"] != 0.004


def test_first_trials_that_were_not_all_queued_are_queued_by_the_next(tmp_path: Path) -> None:
    """As after a kill in the middle of it; and what two machines queue is run once."""
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = optuna.create_study(storage=storage, study_name="test", direction="maximize")
    study.enqueue_trial({}, user_attrs={"queued": "default", "name": "default", "overrides": "{}"})
    judge = Judge(worth)
    assert [trial.name for trial in run(tmp_path, judge, plan(trials=3))] == ["default", "wide", ""]
    study.enqueue_trial({}, user_attrs={"name": "wide", "overrides": '{"hidden_layer_sizes": [512]}'})
    run(tmp_path, judge, plan(trials=5))
    assert Counter(map(str, judge.asked))[str(FIRST["wide"])] == 1


def test_one_in_four_goes_on(tmp_path: Path) -> None:
    """Worse and worse trials end after their first fit; better and better ones all go on."""
    worse = iter(range(1000))
    trials = run(tmp_path, Judge(lambda _: 0.9 - 0.001 * next(worse) // 1), plan(first={}, trials=12))
    assert trials[0].full
    ranks = [0.5, 0.9, 0.4, 0.3, 0.8, 0.2, 0.1, 0.7, 0.6, 0.95]
    values = iter(ranks)
    known: dict[str, float] = {}
    (tmp_path / "mixed").mkdir()

    def fixed(overrides: dict[str, Any]) -> float:
        return known.setdefault(str(overrides), next(values) if str(overrides) not in known else 0.0)

    mixed = run(tmp_path / "mixed", Judge(fixed), plan(first={}, trials=10))
    went_on = [len(trial.results) > 1 for trial in mixed]
    # best so far while there are fewer than eight, then among the best quarter of all
    assert went_on == [True, True, False, False, False, False, False, False, False, True]
    assert all(trial.full == (len(trial.results) == 3) for trial in mixed)


def test_ties_are_decided_by_log_loss_and_nothing_else_is() -> None:
    sure, unsure = result(0.99, 1) | {"log_loss": 0.05}, result(0.99, 1) | {"log_loss": 0.5}
    assert value_of(sure) > value_of(unsure)
    one_image_of_100_000 = result(0.99 + 1e-5, 1) | {"log_loss": 5.0}
    assert value_of(one_image_of_100_000) > value_of(sure)


def test_what_dies_is_recorded_with_its_cause_and_the_search_goes_on(tmp_path: Path) -> None:
    calls = iter(range(100))

    def judge(overrides: dict[str, Any], answer: Callable[[dict[str, Any]], bool]) -> None:
        if next(calls) % 3 == 1:
            raise ProcessDiedError("the loss became nan")
        answer(result(0.5, 1))

    trials = run(tmp_path, judge, plan(trials=9))
    failed = [trial for trial in trials if trial.failed]
    assert len(trials) == 9 and len(failed) == 3
    assert {trial.cause for trial in failed} == {"the loss became nan"}


def test_five_deaths_in_a_row_end_the_search(tmp_path: Path) -> None:
    calls = iter(range(100))

    def judge(overrides: dict[str, Any], answer: Callable[[dict[str, Any]], bool]) -> None:
        if next(calls) != 4:
            raise ProcessDiedError("no memory")
        answer(result(0.5, 1))

    with pytest.raises(UserError, match="5 trials in a row failed, the last one so: no memory;"):
        run(tmp_path, judge, plan(trials=None))
    assert next(calls) == 10  # four, one that lives, five


def test_what_is_no_model_is_told_and_is_no_failure(tmp_path: Path) -> None:
    def judge(overrides: dict[str, Any], answer: Callable[[dict[str, Any]], bool]) -> None:
        raise ValueError("nothing is left of the image")

    trials = run(tmp_path, judge, plan(trials=8))
    assert len(trials) == 8 and not any(trial.failed for trial in trials)
    assert {trial.cause for trial in trials} == {"nothing is left of the image"}


def test_the_same_parameters_are_not_run_twice(tmp_path: Path) -> None:
    frozen = {
        "hidden_layers": 1, "width_1": 64, "activation": "relu", "solver": "adam", "alpha": 1e-4,
        "learning_rate": 1e-3, "batch_size": 64,
    }  # fmt: skip
    judge = Judge(worth)
    trials = run(tmp_path, judge, plan(frozen, trials=6))
    assert len(judge.asked) == 3  # the default, the named one, and the only one that can be drawn
    assert len(trials) == 3


def test_no_trial_starts_that_cannot_finish_its_first_fit(tmp_path: Path) -> None:
    clock = iter([10.0] * 8 + [0.9] * 100)  # a fit takes 1.0
    judge = Judge(lambda _: 0.5)
    run(tmp_path, judge, plan(trials=None), left=lambda: next(clock))
    asked = len(judge.asked)
    assert 0 < asked < 8
    run(tmp_path, judge, plan(trials=None), left=lambda: 0.9)
    assert len(judge.asked) == asked


def test_a_longer_fit_is_not_begun_without_the_time_for_it(tmp_path: Path) -> None:
    trials = run(tmp_path, Judge(worth), plan(trials=1), left=lambda: 3.9)
    assert [each["length"] for each in trials[0].results] == [1]  # which took a second, so four epochs take four
    assert trials[0].cause == "no time left for a longer fit"


def test_side_by_side_nothing_is_lost(tmp_path: Path) -> None:
    """Nor run twice, though all workers reach for the same trial that waits."""
    waiting = {f"net-{width}": {"hidden_layer_sizes": [width]} for width in range(1, 13)}
    judge = Judge(worth)
    trials = run(tmp_path, judge, plan(trials=16, first=waiting), workers=4)
    assert sorted(trial.number for trial in trials) == list(range(16))
    assert max(Counter(str(overrides) for overrides in judge.asked).values()) == 1


DRIVER = """
import sys, time
sys.path.insert(0, {tests!r})
from digits.tuning import storage
storage.HEARTBEAT, storage.GRACE = 1, 3
from test_tuning import plan, result, worth
from digits.tuning.search import open_study, search, spent_seconds
from datetime import datetime

url, seconds, pause = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
asked = plan(trials=None)
study = open_study(storage.open_storage(url), "test", asked, shared="sqlite" not in url)

def judge(overrides, answer):
    print("run", flush=True)
    for length in (1, 4, 16):
        time.sleep(pause)
        if not answer(result(worth(overrides), length, pause)):
            return

search(study, asked, judge, lambda: seconds - spent_seconds([study], datetime.now()), 1, lambda trial: None)
"""


def driver(folder: Path, url: str, seconds: float, pause: float) -> "subprocess.Popen[str]":
    script = folder / "driver.py"
    if not script.exists():  # another driver may be reading it
        script.write_text(DRIVER.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, str(script), url, str(seconds), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_search_goes_on_and_runs_again_what_was_cut(tmp_path: Path) -> None:
    """SIGKILL in the middle of a trial: its parameters are tried again, and nothing else is."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    process = driver(tmp_path, url, 1e6, 0.3)
    assert process.stdout
    for _ in range(4):
        assert process.stdout.readline() == "run\n"
    process.kill()
    process.wait()
    before = optuna.load_study(study_name="test", storage=url).trials
    [cut] = [trial for trial in before if trial.state == TrialState.RUNNING]
    judge = Judge(worth)
    study = open_study(open_storage(url), "test", plan(trials=12), shared=False)
    search(study, plan(trials=12), judge, lambda: 1e6, 1, lambda _: None)
    [again, *others] = judge.asked
    assert [trial.user_attrs["overrides"] for trial in study.trials if trial.number == cut.number] == [
        cut.user_attrs["overrides"]
    ]
    assert study.trials[cut.number].state == TrialState.FAIL
    assert str(sorted(again.items())) not in {str(sorted(other.items())) for other in others}
    ended = finished_trials(study, plan())
    drawn = Counter(str(sorted(trial.overrides.items())) for trial in ended)
    assert max(drawn.values()) == 1 and len(ended) == 12
    assert drawn[str(sorted(again.items()))] == 1


def test_only_the_time_in_which_something_ran_is_spent() -> None:
    study, other = optuna.create_study(), optuna.create_study()
    noon = datetime(2026, 1, 1, 12)

    def add(to: optuna.Study, first: float, last: float | None, state: TrialState, **attributes: Any) -> None:
        trial = optuna.create_trial(
            state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attributes
        )
        trial.datetime_start = noon + timedelta(seconds=first)
        trial.datetime_complete = None if last is None else noon + timedelta(seconds=last)
        to.add_trial(trial)

    add(study, 0, 10, TrialState.COMPLETE)
    add(other, 5, 12, TrialState.COMPLETE)  # beside it
    add(study, 20, 25, TrialState.PRUNED)
    add(study, 30, 33, TrialState.FAIL, cause="died")
    add(study, 40, 9000, TrialState.FAIL)  # killed with its command, noticed hours later
    add(other, 50, None, TrialState.RUNNING)
    assert spent_seconds([study, other], noon + timedelta(seconds=54)) == pytest.approx(12 + 5 + 3 + 4)


def test_the_saved_share_compares_with_one_full_fit_for_each_trial() -> None:
    def trial(*seconds: float) -> TrialRecord:
        fits = tuple(result(0.9, length, each) for length, each in zip((1, 4, 16), seconds, strict=False))
        return TrialRecord(0, "", {}, fits, (), len(seconds) == 3, False, "")

    assert saved_share([trial(1.0), trial(1.0), trial(1, 4, 16)]) == pytest.approx(1 - 23 / 48)
    assert best_of([trial(1.0), trial(1, 4, 16)])[0].full


def test_finalists_are_those_that_went_furthest_then_the_best_of_these() -> None:
    def trial(number: int, *values: float, failed: bool = False) -> TrialRecord:
        fits = tuple(result(value, length) for length, value in zip((1, 4, 16), values, strict=False))
        return TrialRecord(number, "", {}, fits, (), len(values) == 3, failed, "")

    trials = [
        trial(0, 0.9),
        trial(1),
        trial(2, 0.5, 0.6, 0.7),
        trial(3, 0.95),
        trial(4, 0.6, 0.8),
        trial(5, 1.0, failed=True),
    ]
    assert [each.number for each in furthest(trials)] == [2, 4, 3, 0]


CANDIDATES = ["default", "a", "b"]


def test_everybody_is_confirmed_on_all_folds_then_the_best_from_further_seeds() -> None:
    found: dict[Unit, float] = {}
    first = next_units(found, CANDIDATES, [7, 8], [0, 1, 2])
    assert first == [Unit(7, fold, candidate) for fold in range(3) for candidate in CANDIDATES]
    found |= {unit: {"default": 0.5, "a": 0.6, "b": 0.7}[unit.candidate] for unit in first}
    assert leader(found, CANDIDATES) == "b"
    rest = next_units(found, CANDIDATES, [7, 8], [0, 1, 2])
    assert rest == [Unit(8, fold, candidate) for fold in range(3) for candidate in ("default", "b")]
    assert next_units(found | dict.fromkeys(rest, 0.5), CANDIDATES, [7, 8], [0, 1, 2]) == []


def test_no_further_seeds_for_what_is_not_ahead_of_the_default() -> None:
    first = next_units({}, CANDIDATES, [7, 8], [0, 1, 2])
    behind = {unit: {"default": 0.7, "a": 0.6, "b": 0.7}[unit.candidate] for unit in first}
    assert next_units(behind, CANDIDATES, [7, 8], [0, 1, 2]) == []


def test_the_gain_is_paired_and_leaves_the_searched_fold_out() -> None:
    found = {Unit(7, fold, "default"): 0.5 + 0.1 * fold for fold in range(4)}
    found |= {Unit(7, fold, "a"): 0.6 + 0.1 * fold + 0.01 * (fold - 2) for fold in range(1, 4)}
    found[Unit(7, 0, "a")] = 1.0  # as lucky as what was chosen there would be
    gained = gain(found, "a", 0)
    assert gained is not None
    assert gained.mean == pytest.approx(0.1) and gained.count == 3
    assert gained.high - gained.mean == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)  # Student's t, 2 degrees
    assert gain({unit: value for unit, value in found.items() if unit.fold != 3}, "a", 0) is None


def test_a_confirmation_goes_on_where_it_was_and_drops_what_dies(tmp_path: Path) -> None:
    asked: list[Unit] = []

    def fit(overrides: dict[str, Any], seed: int, fold: int) -> dict[str, Any]:
        asked.append(Unit(seed, fold, overrides["name"]))
        if overrides["name"] == "b":
            raise ProcessDiedError("no memory")
        if len(asked) == 4:
            raise KeyboardInterrupt
        return result(0.95 if overrides["name"] == "a" else 0.9, 16)

    overrides = {name: {"name": name} for name in CANDIDATES}

    def again() -> dict[Unit, float]:
        study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
        confirm(study, overrides, [7, 8], [0, 1], fit, lambda: 1e6, 1, lambda *_: None)
        return confirmed(study)

    with pytest.raises(KeyboardInterrupt):
        again()
    found = again()
    assert {unit.candidate for unit, value in found.items() if value == 0} == {"b"}
    assert sum(unit.candidate == "default" for unit in found) == 4  # two folds, two seeds
    assert max(Counter(asked).values()) == 2 and sum(Counter(asked).values()) == len(found) + 1


def test_a_confirmation_forgets_former_finalists_and_shares_its_queue(tmp_path: Path) -> None:
    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    for unit in ([7, 0, "former"], [7, 0, "default"]):
        study.enqueue_trial({}, user_attrs={"unit": json.dumps(unit)})
    asked: list[str] = []

    def fit(overrides: dict[str, Any], seed: int, fold: int) -> dict[str, Any]:
        asked.append(overrides["name"])
        if len(asked) == 1:  # another machine takes what waits here
            while any(trial.state == TrialState.WAITING for trial in study.trials):
                taken = study.ask()
                if json.loads(taken.user_attrs["unit"])[2] == "former":
                    study.tell(taken, state=TrialState.PRUNED)
                else:
                    study.tell(taken, 0.9)
        return result(0.9, 16)

    confirm(study, {name: {"name": name} for name in CANDIDATES[:2]}, [7], [0, 1], fit, lambda: 1e6, 1, lambda *_: None)
    assert set(confirmed(study)) == {Unit(7, fold, name) for fold in (0, 1) for name in CANDIDATES[:2]}
    assert set(asked) <= {"default", "a"}
    again = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    assert not [trial for trial in again.trials if trial.state == TrialState.WAITING]


def test_what_the_end_of_the_time_cuts_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    left = [10.0]

    def dies(*_: Any) -> Any:
        left[0] = 0.0
        raise ProcessDiedError("took longer than 1 s")

    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    candidates: dict[str, Any] = {"default": {}, "a": {}}
    confirm(study, candidates, [7], [0, 1], dies, lambda: left[0], 1, lambda *_: None)
    assert confirmed(study) == {}
    confirm(study, candidates, [7], [0, 1], lambda *_: result(0.9, 16), lambda: 1e6, 1, lambda *_: None)
    assert set(confirmed(study).values()) == {0.9} and len(confirmed(study)) == 4
    left[0] = 10.0
    (tmp_path / "search").mkdir()
    assert run(tmp_path / "search", dies, plan(trials=None), left=lambda: left[0]) == []
    judge = Judge(worth)
    again = run(tmp_path / "search", judge, plan(trials=2))
    assert "default" in {trial.name for trial in again} and judge.asked


def test_no_time_is_enough_for_a_fit_that_is_expected_to_take_longer(tmp_path: Path) -> None:
    study = open_confirmation(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "test")
    candidates: dict[str, Any] = {"default": {}, "a": {}}
    confirm(study, candidates, [7], [0], lambda *_: pytest.fail("begun"), lambda: 9.0, 1, lambda *_: None, 10.0)


def test_a_default_that_could_not_be_fitted_is_no_gain() -> None:
    found = {Unit(7, fold, "default"): 0.0 for fold in range(5)} | {Unit(7, fold, "a"): 0.99 for fold in range(5)}
    assert gain(found, "a", 0) is None


def test_a_space_with_nothing_left_to_draw_ends_the_search(tmp_path: Path) -> None:
    frozen = {
        "hidden_layers": 1, "width_1": 64, "activation": "relu", "solver": "adam", "alpha": 1e-4,
        "learning_rate": 1e-3, "batch_size": 64,
    }  # fmt: skip
    assert len(run(tmp_path, Judge(worth), plan(frozen, trials=None))) == 3


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """A PostgreSQL server of our own; called with a word of pg_ctl it does that, and returns the server's address."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed, and could not be installed with apt-get")
    folder = tmp_path_factory.mktemp("postgres")
    account: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if account:  # the server refuses to run as root
        for each in (folder, *folder.parents[:3]):
            each.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    port = 20_000 + os.getpid() % 10_000

    def call(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **account)

    call(str(programs / "initdb"), "-D", str(folder / "data"), "-U", "digits", "-A", "trust")

    def control(word: str) -> str:
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        call(str(programs / "pg_ctl"), "-w", "-D", str(folder / "data"), "-l", str(folder / "log"), "-m", "fast",
             *(["-o", options] if word != "stop" else []), word)  # fmt: skip
        return f"postgresql+psycopg://digits@127.0.0.1:{port}/postgres"

    control("start")
    yield control
    control("stop")


def _postgres_programs() -> Path | None:
    """Folder of initdb and pg_ctl, after an attempt to install them where they are missing."""
    for attempt in range(2):
        found = [Path(path).parent for path in (shutil.which("initdb"),) if path and shutil.which("pg_ctl")]
        found += [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
        if found:
            return found[0]
        if attempt == 0 and shutil.which("apt-get") and os.geteuid() == 0:
            subprocess.run(["apt-get", "install", "-y", "-q", "postgresql"], check=False, stdout=subprocess.DEVNULL)
    return None


def test_three_machines_share_a_search_its_budget_and_a_database_that_is_restarted(
    tmp_path: Path, postgres: Callable[..., str]
) -> None:
    """One is killed in the middle of a trial; after the end every trial is accounted for, and none was run twice."""
    budget = 25.0  # seconds
    url = postgres("status")
    started = time.monotonic()
    drivers = [driver(tmp_path, url, budget, 0.7) for _ in range(3)]
    for process in drivers:
        assert process.stdout and process.stdout.readline() == "run\n"
    assert drivers[0].stdout and [drivers[0].stdout.readline() for _ in range(2)] == ["run\n"] * 2
    time.sleep(0.2)  # a trial takes at least 0.7
    drivers[0].kill()
    drivers[0].wait()
    postgres("restart")
    for process in drivers[1:]:
        assert process.wait(timeout=budget + 60) == 0
    took = time.monotonic() - started
    study = optuna.load_study(study_name="test", storage=url)
    states = Counter(trial.state for trial in study.trials)
    killed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert states[TrialState.RUNNING] == 0
    assert len(killed) == 1 and "cause" not in killed[0].user_attrs
    again = [trial for trial in study.trials if trial.system_attrs.get("retry_history") == [killed[0].number]]
    assert len(again) == 1 and again[0].user_attrs["overrides"] == killed[0].user_attrs["overrides"]
    assert again[0].state in (TrialState.COMPLETE, TrialState.PRUNED)
    ended = finished_trials(study, plan())
    assert max(Counter(str(sorted(trial.overrides.items())) for trial in ended).values()) == 1
    assert len(ended) > 12 and {trial.name for trial in ended} == {*FIRST, ""}
    assert budget * 0.8 < spent_seconds([study], datetime.now()) < budget * 1.1
    assert took < budget + 30
