"""Tables that GitHub shows as they were meant, whatever their cells contain."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.common.markdown import table

CELLS = st.lists(st.lists(st.text("ab|`\n ", max_size=8), min_size=3, max_size=3), max_size=4)


def test_the_first_column_is_text_and_all_others_are_numbers() -> None:
    assert table(("run", "accuracy", "sd"), [("a", "0.99", "0.01"), ("b", "0.98", "")]).splitlines() == [
        "| run | accuracy | sd |",
        "| --- | ---: | ---: |",
        "| a | 0.99 | 0.01 |",
        "| b | 0.98 |  |",
    ]


def test_a_letter_aligns_its_column_and_the_last_one_those_after_it() -> None:
    assert table("abcd", [], "lrl").splitlines()[1] == "| --- | ---: | --- | --- |"
    assert table("ab", [], "rl").splitlines()[1] == "| ---: | --- |"


def test_pipes_and_line_ends_do_not_end_a_cell_and_code_stays_code() -> None:
    lines = table(("a|b", "c"), [("`x | y`", "two\nlines")]).splitlines()
    assert lines[0] == r"| a\|b | c |"
    assert lines[2] == r"| `x \| y` | two lines |"


@settings(deadline=None)
@given(CELLS)
def test_every_line_has_every_column(rows: list[list[str]]) -> None:
    lines = table("xyz", rows).split("\n")
    assert len(lines) == 2 + len(rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a table of 2 columns has a row of 1 cells: \['a'\]"):
        table("xy", [("a",)])
