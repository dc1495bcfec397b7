"""A params file, SET or a fragment of `make tune` with an old name is refused, and today's name is said."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from digits.common.errors import UserError
from digits.config import load_params
from digits.config.renames import RENAMED, refuse_old_names
from toys import ROOT, params_faults


def nested(path: str, value: Any) -> dict[str, Any]:
    """Content with a value at a path of keys."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def refused(content: dict[str, Any]) -> list[str]:
    with pytest.raises(UserError) as caught:
        refuse_old_names(content, "mine.yaml")
    return str(caught.value).splitlines()


RENAMES = [(section.replace("*", "mine"), old, new) for section, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("section", "old", "new"), RENAMES)
def test_every_old_key_is_refused_and_the_new_one_named(section: str, old: str, new: str) -> None:
    [line] = refused(nested(f"{section}.{old}", None))
    assert line == f"mine.yaml: {section}.{old} is called {section}.{new} now"
    refuse_old_names(nested(f"{section}.{new}", None), "mine.yaml")


def test_every_new_key_stands_in_the_committed_file() -> None:
    text = (ROOT / "params.yaml").read_text()
    for _, _, new in RENAMES:
        assert re.search(rf"(^ *|[{{ ]){new}:", text, re.MULTILINE), new


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.views=[]", "SET: train.views is called train.tta now"),
        ("train.schedule.warm_up=0.1", "SET: train.schedule.warm_up is called train.schedule.warmup now"),
        (
            "networks.small.keep_best=true",
            "SET: networks.small.keep_best is called networks.small.restore_best_weights now",
        ),
        ("networks.one-minute.epochs=3", "SET: networks.one-minute is called networks.small now"),
        ("train.network=two-minutes", "SET: train.network: the network two-minutes is called medium now"),
        ("train.candidates=[one-epoch, default]", "SET: train.candidates: the network one-epoch is called tiny now"),
        (
            "baseline.models.svm.components=3",
            "SET: baseline.models.svm.components is called baseline.models.svm.n_components now",
        ),
        ("tune.space={warm_up: 0.2}", "SET: tune.space.warm_up is called tune.space.warmup now"),
        ("tune.timeout=3", "SET: tune.timeout is called tune.trial_timeout now"),
        ("kaggle.poll=3", "SET: kaggle.poll is called kaggle.poll_interval now"),
        (
            "tune.first.mine.clip_norm=1.0",
            "SET: tune.first is called tune.enqueue now\n"
            "SET: tune.first.mine.clip_norm is called tune.enqueue.mine.clipnorm now",
        ),
        (
            "train.measured={toy: {seven-convolutions: 0.9}}",
            "SET: train.measured is called train.measured_accuracy now\n"
            "SET: train.measured.toy.seven-convolutions is called train.measured_accuracy.toy.deep now",
        ),
    ],
)
def test_old_names_in_set(override: str, expected: str) -> None:
    assert params_faults(override) == expected.splitlines()


def test_keys_that_still_have_a_name_elsewhere_are_let_through() -> None:
    load_params(ROOT / "params.yaml", ["train.schedule={kind: plateau, factor: 0.5, patience: 3}", "train.epochs=3"])
    load_params(ROOT / "params.yaml", ["tune.enqueue.mine={schedule: {kind: plateau, factor: 0.5, patience: 3}}"])


def test_old_names_are_said_of_the_file_that_has_them(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("train: {views: [], among: [one-epoch], beside: []}\nkaggle: {wait: 3}\n")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ntrain: {epochs: 3}\n")
    with pytest.raises(UserError) as caught:
        load_params(tmp_path / "mine.yaml")
    assert str(caught.value).splitlines() == [
        "base.yaml: train.views is called train.tta now",
        "base.yaml: train.among is called train.candidates now",
        "base.yaml: train.among: the network one-epoch is called tiny now",
        "base.yaml: train.beside is called train.extra now",
        "base.yaml: kaggle.wait is called kaggle.score_timeout now",
    ]


def test_fragments_of_tune_are_refused_too() -> None:
    text = """
data: {normalise: standard}
train: {layers: 8C3 16, schedule: {kind: one-cycle, warm_up: 0.2}, clip_norm: 1.0, measured: {toy: {tuned: 0.99}}}
"""
    assert refused(yaml.safe_load(text)) == [
        "mine.yaml: train.schedule.warm_up is called train.schedule.warmup now",
        "mine.yaml: train.clip_norm is called train.clipnorm now",
        "mine.yaml: train.measured is called train.measured_accuracy now",
    ]
