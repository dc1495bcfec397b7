"""Params files are YAML with numbers as people type them, and every key once."""

from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.config import load_params
from digits.config.yaml_reader import parse_yaml, read_yaml
from toys import ROOT


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("train:\n  epochs: 3\n  epochs: 4\n")
    with pytest.raises(UserError, match=r"'epochs' occurs twice \(line 3\)"):
        load_params(tmp_path / "twice.yaml")


def test_a_mapping_may_take_up_another(tmp_path: Path) -> None:
    """YAML's `<<` fetches keys, which those written beside it replace; the same key written twice stays a fault."""
    text = (ROOT / "params.yaml").read_text()
    models = load_params(ROOT / "params.yaml").baseline.models
    assert models["svm"] == models["svm-deskewed"].model_copy(update={"deskew": False})
    (tmp_path / "twice.yaml").write_text(text.replace("      <<: *svm ", "      deskew: true\n      <<: *svm "))
    with pytest.raises(UserError, match="'deskew' occurs twice"):
        load_params(tmp_path / "twice.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PARAMS="):
        load_params(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("2e-3", 0.002), ("-1.5E+3", -1500.0), ("3", 3), ("1e", "1e"), ("/255", "/255"), ("", None)]
)
def test_numbers_with_an_exponent_are_numbers(text: str, value: object) -> None:
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_what_is_no_params_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text, fault in (("- 3", "expected sections such as `train:`, found list"), ("a: [", "not valid YAML")):
        path.write_text(text)
        with pytest.raises(UserError, match=fault):
            read_yaml(path)
