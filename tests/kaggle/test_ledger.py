"""The ledger tells the truth whatever is killed, and whoever else writes."""

import multiprocessing
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.kaggle.ledger import COLUMNS, Ledger, verdict

ENTRY = {"intent": "abc", "competition": "toy", "file": "a.csv", "rows": 3}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "submissions" / "ledger.csv")


def test_lines_are_added_and_the_latest_of_each_intent_counts(ledger: Ledger) -> None:
    assert ledger.lines() == []
    assert ledger.intents("toy") == {}
    ledger.append(ENTRY | {"message": 'with, comma and "quotes"\nin two lines'}, "written", "1")
    ledger.append(ENTRY | {"intent": "def"}, "written", "2")
    before = ledger.path.read_bytes()
    ledger.append(ledger.intents("toy")["abc"] | {"ref": "7"}, "uploaded", "3")
    ledger.append(ENTRY | {"competition": "other"}, "written", "4")
    assert ledger.path.read_bytes().startswith(before), "what was written once stays"
    found = ledger.intents("toy")
    assert [*found] == ["abc", "def"]
    assert (found["abc"]["state"], found["abc"]["ref"], found["abc"]["time"]) == ("uploaded", "7", "3")
    assert found["abc"]["message"] == 'with, comma and "quotes" in two lines'
    table = pd.read_csv(ledger.path)
    assert tuple(table.columns) == COLUMNS
    assert table["state"].tolist() == ["written", "written", "uploaded", "written"]


@pytest.mark.parametrize("state", ["uploading", "uploaded"])
def test_a_line_that_a_killed_process_left_unfinished_is_passed_over(ledger: Ledger, state: str) -> None:
    ledger.append(ENTRY | {"message": 'a "quoted" word'}, "written", "1")
    whole = ledger.path.read_bytes()
    ledger.append(ENTRY | {"message": 'a "quoted" wörd'}, "uploaded", "2")
    torn = ledger.path.read_bytes()
    for length in range(len(whole), len(torn)):
        ledger.path.write_bytes(torn[:length])
        # without its line end alone a line is complete
        assert ledger.intents("toy")["abc"]["state"] == ("uploaded" if length == len(torn) - 1 else "written")
        ledger.append(ENTRY, "scored" if state == "uploaded" else "uploading", "3")
        assert ledger.intents("toy")["abc"]["time"] == "3"


def append_some(path: Path, name: str) -> None:
    generator = random.Random(name)
    for number in range(20):
        Ledger(path).append(
            ENTRY | {"intent": name, "message": "x" * generator.randint(1, 5000)}, "written", str(number)
        )


def test_two_processes_do_not_mix_their_lines(ledger: Ledger) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_some, args=(ledger.path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    lines = ledger.lines()
    assert len(lines) == 40
    assert len(ledger.path.read_text().splitlines()) == 41
    for name in "ab":
        assert [line["time"] for line in lines if line["intent"] == name] == [str(number) for number in range(20)]


def test_a_ledger_of_other_columns_is_not_touched(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_text("mine,own\n1,2\n")
    with pytest.raises(UserError, match=r"has other columns \(mine,own\); move it away"):
        ledger.append(ENTRY, "written", "1")
    assert ledger.path.read_text() == "mine,own\n1,2\n"


def test_only_one_process_submits_at_a_time_and_the_other_says_that_it_waits(ledger: Ledger) -> None:
    waits = threading.Event()

    @contextmanager
    def waiting() -> Iterator[None]:
        waits.set()
        yield

    def submit(seconds: float) -> str:
        with Ledger(ledger.path).submitting(seconds, waiting):
            return "submitted"

    with ThreadPoolExecutor(1) as pool:
        with ledger.submitting(1, waiting):
            assert not waits.is_set()
            with pytest.raises(UserError, match="another command is submitting"):
                submit(0.1)
            waits.clear()
            other = pool.submit(submit, 600)
            assert waits.wait(600)
            assert not other.done()
        assert other.result(600) == "submitted"


@pytest.mark.parametrize(
    ("score", "where"), [("0.99500", "inside"), ("0.99400", "inside"), ("0.99399", "below"), ("0.99601", "above")]
)
def test_a_score_is_held_against_its_interval(score: str, where: str) -> None:
    line = dict.fromkeys(COLUMNS, "") | {"state": "scored", "expected_low": "0.99400", "expected_high": "0.99600"}
    assert verdict(line | {"public_score": score}) == f"; public score {score}, {where} the interval"
