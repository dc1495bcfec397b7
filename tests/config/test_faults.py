"""Every fault is found before any work and said in one line: the key, what is allowed, the nearest name."""

import json
import re
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.config import Params, load_params
from digits.config.faults import _PATTERNS
from toys import ROOT, params_faults


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=0", "params.yaml: train.epochs = 0, but it must be a whole number from 1 to 10000"),
        ("train.epochs=many", "params.yaml: train.epochs = 'many', but it must be a whole number from 1 to 10000"),
        (
            "train.batch_size=many",
            "params.yaml: train.batch_size = 'many', but it must be a whole number from 1 to 100000 or 'auto'",
        ),
        (
            "competition.class_names=[1,2,3,4,5,6,7,8,9,10]",
            "\n".join(f"params.yaml: competition.class_names.{n} = {n + 1}, but it must be text" for n in range(10)),
        ),
        ("train.epochs=2.5", "params.yaml: train.epochs = 2.5, but it must be a whole number from 1 to 10000"),
        ("data.folds=true", "params.yaml: data.folds = True, but it must be a whole number from 2 to 50"),
        ("train.epoch=3", "params.yaml: unknown key train.epoch; did you mean train.epochs?"),
        ("trian.epochs=3", "SET: unknown key trian; did you mean train?"),
        ("train.augment.zom=0", "params.yaml: unknown key train.augment.zom; did you mean train.augment.zoom?"),
        (
            "baseline.models.mlp-256.alhpa=1",
            "params.yaml: unknown key baseline.models.mlp-256.alhpa; did you mean baseline.models.mlp-256.alpha?",
        ),
        (
            "baseline.models.mpl-256.alpha=1",
            "SET: unknown key baseline.models.mpl-256; did you mean baseline.models.mlp-256?",
        ),
        (
            "baseline.models.svm.kind=svn",
            "params.yaml: baseline.models.svm.kind = 'svn', but it must be one of augmented-mlp, extra-trees, knn, "
            "logistic, mlp, svm; did you mean svm?",
        ),
        (
            "baseline.models.mine={alpha: 1}",
            "params.yaml: baseline.models.mine.kind is missing; it must be one of augmented-mlp, extra-trees, knn, "
            "logistic, mlp, svm",
        ),
        (
            "baseline.models.knn-deskewed.weights=even",
            "params.yaml: baseline.models.knn-deskewed.weights = 'even', but it must be one of uniform, distance",
        ),
        (
            "train.optimizer=nadma",
            "params.yaml: train.optimizer.name = 'nadma', but it must be one of adadelta, adagrad, adam, adamax, "
            "adamw, lion, muon, nadam, rmsprop, schedule-free-adamw, sgd; did you mean nadam?",
        ),
        (
            "train.optimizer=sgd",
            "params.yaml: train.optimizer.momentum is missing; it must be a number from 0 to below 1\n"
            "params.yaml: train.optimizer.nesterov is missing; it must be true or false",
        ),
        (
            "train.schedule={kind: plateau, factor: 2.0, patience: 1}",
            "params.yaml: train.schedule.factor = 2.0, but it must be a number above 0 and below 1",
        ),
        (
            "train.schedule.warmpu=0.1",
            "params.yaml: unknown key train.schedule.warmpu; did you mean train.schedule.warmup?",
        ),
        ("train.epochs", "SET: 'train.epochs' is not of the form key=value; write it as in SET=\"train.epochs=3\""),
        ("train.epochs.x=3", "SET: train.epochs is a single value, not a section with a key 'x'"),
        (
            "train.layers=MP2 MP2 MP2 MP2 MP2",
            "params.yaml: nothing is left of a 28x28 image at layer 5, Pool(size=2, kind='max')",
        ),
        ("tune.space={blocks: [3, 1]}", "params.yaml: tune.space.blocks = [3, 1] does not lie within 2 to 4"),
        ("tune.space={dropout: 0.7}", "params.yaml: tune.space.dropout = 0.7 does not lie within 0 to 0.6"),
        (
            "tune.model=svm",
            "params.yaml: tune.model = 'svm', but it must be one of train, mlp-256-128, mlp-256, mlp-64-32, mlp-64",
        ),
        (
            "tune.enqueue={mine: {epochs: many}}",
            "params.yaml: tune.enqueue.mine.epochs = 'many', but it must be a whole number from 1 to 10000",
        ),
        (
            "competition.slug=../x",
            "params.yaml: competition.slug = '../x', but it must be a name of letters, digits and hyphens",
        ),
    ],
)
def test_faults_in_one_line(override: str, expected: str) -> None:
    assert params_faults(override) == expected.splitlines()


def test_all_faults_are_reported_together() -> None:
    assert len(params_faults("train.epochs=0", "data.folds=1", "ensemble.round=3")) == 3


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("  selection_rounds: 50", "  # 50"))
    with pytest.raises(
        UserError, match=r"mine.yaml: ensemble.selection_rounds is missing; it must be a whole number from 1"
    ):
        load_params(tmp_path / "mine.yaml")


def test_every_pattern_of_the_schema_has_words() -> None:
    """So that no regular expression is shown to a person."""
    schema = json.dumps(Params.model_json_schema())
    patterns = {json.loads(found) for found in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema)}
    keys = {json.loads(found) for found in re.findall(r'"patternProperties": \{("(?:[^"\\]|\\.)*")', schema)}
    assert len(patterns) > 1
    assert patterns | keys == {*_PATTERNS}
