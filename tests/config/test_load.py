"""Files that extend others and SET become one set of params."""

import shutil
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.config import load_params
from toys import ROOT


def test_overrides_reach_their_place() -> None:
    changed = load_params(ROOT / "params.yaml", ["train.epochs=3", "train.learning_rate=1e-4", "train.augment.zoom=0"])
    assert (changed.train.epochs, changed.train.learning_rate, changed.train.augment.zoom) == (3, 1e-4, 0)


def test_a_file_may_say_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(
        "extends: base.yaml\ntrain:\n  epochs: 3\n  augment:\n    zoom: 0.0\n"
        "baseline:\n  models:\n    only: {kind: mlp, deskew: false, n_components: null, hidden_layer_sizes: [8],"
        " activation: relu, solver: adam,"
        " alpha: 0.1, batch_size: auto, learning_rate_init: 1e-3, max_iter: 3, early_stopping: false,"
        " n_iter_no_change: 2}\n"
    )
    base, mine = load_params(tmp_path / "base.yaml"), load_params(tmp_path / "mine.yaml")
    assert (mine.train.epochs, mine.train.augment.zoom) == (3, 0)
    assert mine.train.augment.rotation == base.train.augment.rotation
    assert list(mine.baseline.models) == ["only"]
    assert mine.competition == base.competition


def test_what_is_of_another_kind_is_taken_whole(tmp_path: Path) -> None:
    """A constant rate has no warm-up, whatever the file below says of it; the same kind keeps what is not said."""
    shutil.copy(ROOT / "params.yaml", tmp_path / "base.yaml")
    (tmp_path / "mine.yaml").write_text(
        "extends: base.yaml\ntrain:\n  schedule: {kind: constant}\n"
        "tune:\n  enqueue:\n    steady: {schedule: {kind: constant}, optimizer: {name: nadam}}\n"
    )
    mine = load_params(tmp_path / "mine.yaml")
    assert mine.train.schedule.kind == "constant"
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\nnetworks:\n  slow: {schedule: {warmup: 0.5}}\n")
    slow = load_params(tmp_path / "mine.yaml").network("slow").schedule
    assert slow.kind == "one-cycle"
    assert slow.warmup == 0.5


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(UserError, match="in turn"):
        load_params(tmp_path / "a.yaml")
