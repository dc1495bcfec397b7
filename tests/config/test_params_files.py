"""The params files of the repository."""

from digits.config import load_params
from toys import ROOT


def test_every_committed_params_file_is_valid() -> None:
    files = sorted(ROOT.glob("params*.yaml"))
    assert {file.name for file in files} >= {"params.yaml", "params.fashion-mnist.yaml"}
    for file in files:
        load_params(file)


def test_every_value_has_a_reason_or_unit() -> None:
    """Each value that a section introduces is commented, but for those whose name says it all."""
    self_evident = {"slug", "train_file", "test_file", "sample_file", "classes", "test_rows", "submission_label"}
    text = (ROOT / "params.yaml").read_text()
    seen: set[str] = set()
    for line in text.splitlines():
        key, colon, rest = line.strip().partition(":")
        rest = rest.partition(" &")[0]  # a name for YAML, no value
        if colon and not key.startswith("#") and "#" not in rest and rest:
            assert key in seen | self_evident | {"kind", "activation", "solver", "optimizer", "seed", "<<"}, line
        seen.add(key)


def test_lines_fit_on_a_screen() -> None:
    for file in ROOT.glob("params*.yaml"):
        assert [line for line in file.read_text().splitlines() if len(line) > 120] == []
