"""One section of params over another."""

from typing import Any

import pytest

from digits.config.section import Replacement, overlay


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"s": {"a": 1, "b": 2}}, {"s": {"b": 3}}, {"s": {"a": 1, "b": 3}}),
        ({"s": {"a": [1, 2]}}, {"s": {"a": [3]}}, {"s": {"a": [3]}}),
        ({"s": "word"}, {"s": {"a": 1}}, {"s": {"a": 1}}),
        ({"s": {"kind": "plateau", "factor": 0.5}}, {"s": {"factor": 0.1}}, {"s": {"kind": "plateau", "factor": 0.1}}),
        ({"s": {"kind": "plateau", "factor": 0.5}}, {"s": {"kind": "cosine"}}, {"s": {"kind": "cosine"}}),
        ({"s": {"name": "sgd", "momentum": 0.5}}, {"s": {"name": "adam"}}, {"s": {"name": "adam"}}),
        ({"s": {"a": 1, "b": 2}}, {"s": Replacement(b=3)}, {"s": {"b": 3}}),
        ({}, {"s": {"t": Replacement(b=3)}}, {"s": {"t": {"b": 3}}}),
    ],
)
def test_overlay(below: dict[str, Any], above: dict[str, Any], merged: dict[str, Any]) -> None:
    before = repr((below, above))
    result = overlay(below, above)
    assert result == merged
    assert repr((below, above)) == before
    assert "Replacement" not in repr(result)
    assert not any(isinstance(each, Replacement) for each in result.values())


def test_a_replacement_replaces_once() -> None:
    replaced = overlay({"s": {"a": 1}}, {"s": Replacement(b=3)})
    assert overlay({"s": {"c": 4}}, replaced) == {"s": {"c": 4, "b": 3}}
