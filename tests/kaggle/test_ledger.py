"""The ledger tells the truth whatever is killed, and whoever else writes."""

import codecs
import csv
import io
import multiprocessing
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from digits.common.errors import UserError
from digits.kaggle.ledger import COLUMNS, Ledger, best_scored, verdict
from toys import DAMAGES

pytestmark = pytest.mark.slow

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
    copy = ledger.path.with_name(".ledger.json")
    for length in range(len(whole), len(torn)):
        ledger.path.write_bytes(torn[:length])
        copy.unlink()
        # without its line end alone a line is complete
        assert ledger.intents("toy")["abc"]["state"] == ("uploaded" if length == len(torn) - 1 else "written")
        ledger.append(ENTRY, "scored" if state == "uploaded" else "uploading", "3")
        assert ledger.intents("toy")["abc"]["time"] == "3"


def append_some(path: Path, name: str) -> None:
    generator = random.Random(name)
    for number in range(20):
        Ledger(path).append(
            ENTRY | {"intent": name, "message": "x" * generator.randint(1, 5000)}, "uploading", str(number)
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
    with pytest.raises(UserError, match=r"unexpected columns \(mine,own\); move it away"):
        ledger.append(ENTRY, "written", "1")
    assert ledger.path.read_text() == "mine,own\n1,2\n"


def saved(separator: str = ",", end: str = "\n", quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> Callable[[str], str]:
    """Saves a CSV of ours as a spreadsheet does that has read its cells."""

    def save(text: str) -> str:
        written = io.StringIO()
        rows = [*csv.reader(io.StringIO(text))]
        csv.writer(written, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
        return written.getvalue()

    return save


def as_one_column(text: str) -> str:
    """Saved by a spreadsheet that separates by semicolons: a line is one cell to it, quoted if it has quotes."""
    lines = (f'"{line.replace(chr(34), 2 * chr(34))}"' if '"' in line else line for line in text.splitlines())
    return "\r\n".join([*lines, ""])


SAVED = {
    "line ends": lambda text: saved(end="\r\n")(text).encode(),
    "old line ends": lambda text: saved(end="\r")(text).encode(),
    "byte order mark": lambda text: codecs.BOM_UTF8 + saved(end="\r\n")(text).encode(),
    "quoted": lambda text: saved(quoting=csv.QUOTE_ALL)(text).encode(),
    "semicolons": lambda text: codecs.BOM_UTF8 + saved(";", "\r\n")(text).encode(),
    "tabs": lambda text: saved("\t", "\r\n", csv.QUOTE_ALL)(text).encode(),
    "one column": lambda text: as_one_column(text).encode(),
    "no last line end": lambda text: saved(end="\r\n")(text).encode().rstrip(),
}


@pytest.mark.parametrize("how", SAVED)
def test_what_a_spreadsheet_has_saved_is_read_and_made_one_of_ours_again(ledger: Ledger, how: str) -> None:
    first = ENTRY | {"message": '[abc] with, comma; semicolon and "quotes"'}
    ledger.append(first, "written", "2026-11-21T12:00:00+00:00")
    ledger.append(ENTRY | {"intent": "def"}, "written", "2026-11-21T12:00:01+00:00")
    before, ours = ledger.lines(), ledger.path.read_bytes()
    ledger.path.write_bytes(SAVED[how](ours.decode()))
    assert ledger.lines() == before
    ledger.append(first, "uploading", "2026-11-21T12:00:02+00:00")
    assert ledger.lines()[:-1] == before
    assert ledger.intents("toy")["abc"]["state"] == "uploading"
    assert ledger.path.read_bytes().startswith(ours), "whole, and in our own form again"


def test_the_same_file_of_two_commands_is_written_once(ledger: Ledger) -> None:
    """The second one goes on from the last line of the first."""
    ledger.append(ENTRY, "written", "1")
    first = ledger.append(ENTRY, "uploading", "2")
    assert ledger.append(ENTRY, "written", "3") == first
    assert [line["time"] for line in ledger.lines()] == ["1", "2"]


def test_what_a_user_has_written_into_it_stays_there(ledger: Ledger) -> None:
    ledger.append(ENTRY, "written", "1")
    note = "asked about;" + ";" * (len(COLUMNS) - 2) + "my note\r\n"
    ledger.path.write_bytes(saved(";", "\r\n")(ledger.path.read_text()).encode() + note.encode())
    ledger.append(ENTRY, "uploading", "2")
    assert [line["state"] for line in ledger.lines()] == ["written", "uploading"]
    assert "asked about" in ledger.path.read_text()
    assert "my note" in ledger.path.read_text()


@pytest.mark.parametrize("separator", [",", ";"])
def test_an_open_quote_costs_its_own_line_alone(ledger: Ledger, separator: str) -> None:
    for number in range(3):
        ledger.append(ENTRY, "uploading", str(number))
    header, *lines = saved(separator)(ledger.path.read_text()).splitlines()
    lines[1] = lines[1].replace("abc", '"abc')
    ledger.path.write_text("\n".join([header, *lines, ""]))
    assert [line["time"] for line in ledger.lines()] == ["0", "1", "2"], "the copy is whole"
    ledger.path.with_name(".ledger.json").unlink()
    assert [line["time"] for line in ledger.lines()] == ["0", "2"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_lines_are_those_of_the_copy_and_come_back(ledger: Ledger, damage: str) -> None:
    generator = random.Random(0)
    for number in range(4):
        ledger.append(ENTRY, "uploading", str(number))
    whole, copy = ledger.path.read_bytes(), ledger.path.with_name(".ledger.json")
    kept = copy.read_bytes()
    for path in (ledger.path, copy):
        for _ in range(10):
            ledger.path.write_bytes(whole)
            copy.write_bytes(kept)
            DAMAGES[damage](path, generator)
            assert [line["time"] for line in ledger.lines()][:4] == ["0", "1", "2", "3"]
            ledger.append(ENTRY, "uploading", "4")
            assert ledger.path.read_bytes().startswith(whole)
            assert ledger.lines()[-1]["time"] == "4"


HASHES = {
    "012345678901" + 52 * "a": "12345678901",
    "123456789012" + 52 * "a": "1.23457E+11",
    "123456789e12" + 52 * "a": "1,23457E+20",
}


@pytest.mark.parametrize("sha256", HASHES)
def test_an_intent_that_looks_like_a_number_is_still_known(ledger: Ledger, sha256: str) -> None:
    ledger.append(ENTRY | {"intent": sha256[:12], "sha256": sha256}, "uploading", "1")
    text = ledger.path.read_text().replace(f",{sha256[:12]},", f",{HASHES[sha256].replace(',', '.')},")
    ledger.path.write_bytes(saved(";", "\r\n")(text).encode())
    assert [*ledger.intents("toy")] == [sha256[:12]]
    again = ENTRY | {"intent": f"{sha256[:12]}-2", "sha256": sha256}
    ledger.append(again, "written", "2")
    assert [*ledger.intents("toy")] == [sha256[:12], again["intent"]]


SCORED = ENTRY | {"expected": "0.9950000", "expected_low": "0.9940000", "expected_high": "0.9960000"}


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            {"public_score": "0.995", "expected_low": "0,994", "expected_high": "0,996"},
            "0.995, inside the expected interval",
        ),
        ({"public_score": "0,9"}, "0.9, below the expected interval"),
        ({"public_score": "0.995", "expected_low": "Jan 94"}, "public score 0.995"),
        ({"public_score": "#####"}, "not scored yet: type make score"),
        ({"public_score": "nan", "expected": ""}, "not scored yet: type make score"),
        ({"public_score": ""}, "not scored yet: type make score"),
    ],
)
def test_a_cell_that_is_no_number_is_taken_for_a_blank_one(ledger: Ledger, cells: dict[str, str], told: str) -> None:
    """A score that is lost is asked for again."""
    ledger.append(SCORED | cells, "scored", "1")
    line = ledger.intents("toy")["abc"]
    assert verdict(line).endswith(told)
    known = "not scored" not in told
    assert (best_scored([line]) is not None) == known
    assert line["state"] == ("scored" if known else "uploaded")
    interval = [line["expected"], line["expected_low"], line["expected_high"]]
    assert all(interval) or not any(interval)
    ledger.append(SCORED | cells, "uploading", "2")
    assert ledger.intents("toy")["abc"]["public_score"] in ("", "0.995", "0.9")


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
    assert verdict(line | {"public_score": score}) == f"; public score {score}, {where} the expected interval"


def test_the_best_score_is_the_lowest_where_lower_is_better() -> None:
    lines = [{"state": "scored", "public_score": score} for score in ("0.2", "0.031", "0.9")]
    found = [best_scored(lines), best_scored(lines, -1)]
    assert [line["public_score"] for line in found if line] == ["0.9", "0.031"]
