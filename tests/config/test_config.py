"""params.yaml: every fault is found before any work and said in one line with the key, the range, the nearest name."""

import shutil
from pathlib import Path

import pytest

from digits.common.errors import UserError
from digits.config import Params, load_params
from digits.models.architecture import parse_layers
from digits.models.cnn.network import LayerSettings, build_network
from toys import ROOT


def faults(*overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_params(ROOT / "params.yaml", overrides)
    return str(caught.value).splitlines()


def test_the_committed_file_is_valid_and_frozen(params: Params) -> None:
    assert params.competition.pixels == 784
    assert params.competition.pixel_columns[:2] == ["pixel0", "pixel1"]
    with pytest.raises(ValueError):
        params.train.epochs = 3  # type: ignore[misc]


def test_overrides_reach_their_place() -> None:
    changed = load_params(ROOT / "params.yaml", ["train.epochs=3", "train.learning_rate=1e-4", "train.augment.zoom=0"])
    assert (changed.train.epochs, changed.train.learning_rate, changed.train.augment.zoom) == (3, 1e-4, 0)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=0", "params.yaml: train.epochs = 0, but it must be a whole number from 1 to 10000"),
        ("train.epochs=many", "params.yaml: train.epochs = 'many', but it must be a whole number from 1 to 10000"),
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
        ("train.epochs", "SET: 'train.epochs' is not of the form key=value, as in SET=\"train.epochs=3\""),
        ("train.epochs.x=3", "SET: train.epochs is a value, it has no key 'x'"),
        (
            "train.layers=MP2 MP2 MP2 MP2 MP2",
            "params.yaml: nothing is left of a 28x28 image at layer 5, Pool(size=2, kind='max')",
        ),
        ("tune.space={blocks: [3, 1]}", "params.yaml: tune.space.blocks = [3, 1] does not lie within 1 to 4"),
        ("tune.space={dropout: 0.7}", "params.yaml: tune.space.dropout = 0.7 does not lie within 0 to 0.6"),
        (
            "tune.model=svm",
            "params.yaml: tune.model = 'svm', but it must be one of train, mlp-256-128, mlp-256, mlp-64-32, mlp-64",
        ),
        (
            "tune.enqueue={mine: {epochs: many}}",
            "params.yaml: tune.enqueue.mine.epochs = 'many': Input should be a valid integer",
        ),
        (
            "competition.slug=../x",
            "params.yaml: competition.slug = '../x', but it must be text like ^[a-z0-9][a-z0-9-]{0,60}$",
        ),
    ],
)
def test_faults_in_one_line(override: str, expected: str) -> None:
    assert faults(override) == expected.splitlines()


def test_what_excludes_each_other_is_refused() -> None:
    [fault] = faults("train.ema_momentum=0.99", "train.early_stopping_patience=3")
    assert fault.startswith("params.yaml: train: ema_momentum averages to the last epoch")
    [fault] = faults("train.clipnorm=1.0", "train.clipvalue=0.5")
    assert fault == "params.yaml: train: clipnorm and clipvalue exclude each other"


def test_colour_and_unnamed_classes_are_refused() -> None:
    assert "colour images are not supported" in faults("competition.image_shape=[28,28,3]")[0]
    assert faults("competition.class_names=[a,b]") == ["params.yaml: competition: class_names: 2 names for 10 classes"]


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
    assert slow.kind == "one-cycle" and slow.warmup == 0.5


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(UserError, match="in turn"):
        load_params(tmp_path / "a.yaml")


def test_every_committed_params_file_is_valid() -> None:
    files = sorted(ROOT.glob("params*.yaml"))
    assert {file.name for file in files} >= {"params.yaml", "params.fashion-mnist.yaml"}
    for file in files:
        load_params(file)


def test_all_faults_are_reported_together() -> None:
    assert len(faults("train.epochs=0", "data.folds=1", "ensemble.round=3")) == 3


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("  selection_rounds: 50", "  # 50"))
    with pytest.raises(
        UserError, match=r"mine.yaml: ensemble.selection_rounds is missing; it must be a whole number from 1"
    ):
        load_params(tmp_path / "mine.yaml")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("train:\n  epochs: 3\n  epochs: 4\n")
    with pytest.raises(UserError, match=r"'epochs' stands twice \(line 3\)"):
        load_params(tmp_path / "twice.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PARAMS="):
        load_params(tmp_path / "none.yaml")


def test_a_mapping_may_take_up_another(tmp_path: Path) -> None:
    """YAML's `<<` fetches keys, which those written beside it replace; the same key written twice stays a fault."""
    text = (ROOT / "params.yaml").read_text()
    models = load_params(ROOT / "params.yaml").baseline.models
    assert models["svm"] == models["svm-deskewed"].model_copy(update={"deskew": False})
    (tmp_path / "twice.yaml").write_text(text.replace("      <<: *svm ", "      deskew: true\n      <<: *svm "))
    with pytest.raises(UserError, match="'deskew' stands twice"):
        load_params(tmp_path / "twice.yaml")


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


def test_a_network_is_the_default_with_what_it_says_laid_over_and_the_user_above_both() -> None:
    networks = '{"wide": {"layers": "64C3 32", "epochs": 9, "augment": {"zoom": 0.2}}}'

    def load(*more: str) -> Params:
        return load_params(
            ROOT / "params.yaml", [f"networks={networks}", "train.candidates=[default]", "train.extra=[]", *more]
        )

    plain, named = load(), load("train.network=wide", "train.epochs=4", "train.seed=1")
    assert (named.train.layers, named.train.epochs, named.train.seed) == ("64C3 32", 4, 1)
    assert named.train.augment == plain.train.augment.model_copy(update={"zoom": 0.2})
    assert plain.network("wide") == load("train.network=wide").train.spec


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("train.network=wid",), "train.network = 'wid': there is no such network; did you mean networks.wide?"),
        (("networks=3",), "networks = 3"),
        (("train.measured_accuracy={toy: 3}", "train.epochs=2"), "train.measured_accuracy.toy = 3"),
        (('networks={"wide": {"epoch": 3}}',), "networks.wide.epoch = 3: Extra inputs are not permitted"),
        (('networks={"wide": {"layers": "MP9 9MP"}}',), "networks.wide.layers = 'MP9 9MP'"),
        (
            ('networks={"wide": {"layers": "MP9 MP9"}}', "train.network=wide"),
            "params.yaml: nothing is left of a 28x28 image at layer 2, Pool(size=9, kind='max')",
        ),
        (
            ('networks={"wide": {"layers": "MP9 MP9"}}', "train.candidates=[wide]"),
            "train.candidates = ['wide'], but images of 28x28 pixels are too small for all of them; default",
        ),
        (('networks={"wide": {"epochs": "many"}}',), "networks.wide.epochs = 'many': Input should be a valid integer"),
    ],
)
def test_faults_in_networks_are_named(overrides: tuple[str, ...], expected: str) -> None:
    [line] = faults('networks={"wide": {"epochs": 3}}', "train.candidates=[default]", "train.extra=[]", *overrides)
    assert expected in line


# networks of published recipes, their weights counted by hand
@pytest.mark.parametrize(
    ("layers", "weights"),
    [
        ("", 784 * 10 + 10),
        ("392", 785 * 392 + 393 * 10),
        ("392 392", 785 * 392 + 393 * 392 + 393 * 10),
        ("1024 512 256 128 32", 785 * 1024 + 1025 * 512 + 513 * 256 + 257 * 128 + 129 * 32 + 33 * 10),
        ("32C5 32C5 MP2 64C3 64C3 MP2 256", 832 + 25_632 + 18_496 + 36_928 + 3137 * 256 + 257 * 10),
        (
            "32C5 32C5 MP2 64C3 64C3 MP2 128C2 128C2 MP2 256",
            832 + 25_632 + 18_496 + 36_928 + 257 * 128 + 513 * 128 + 1153 * 256 + 257 * 10,
        ),
        ("250 125 50 10", 785 * 250 + 251 * 125 + 126 * 50 + 51 * 10 + 11 * 10),
        ("32C5v MP2 64C5v MP2 100", 832 + 801 * 64 + 1025 * 100 + 101 * 10),
        ("256 D0.2 256 D0.2 256 D0.2 256 D0.2 256 D0.2", 785 * 256 + 4 * 257 * 256 + 257 * 10),
    ],
)
def test_the_published_networks_can_be_written(layers: str, weights: int) -> None:
    network = build_network(
        parse_layers(layers), LayerSettings("relu", "glorot_uniform", 0, 0, 0, "float32"), (28, 28), 10
    )
    assert network.count_params() == weights


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer={name: sgd, momentum: 0.9, nesterov: true}", "schedule={kind: inverse-time, decay: 1e-6}"),
        ("optimizer=adadelta", "learning_rate=1.0", "schedule=constant"),
        ("early_stopping_patience=10", "restore_best_weights=true", "batch_size=200", "epochs=32", 'layers=""'),
        ("kernel_initializer=random_uniform", "activation=linear", "layers=256 256"),
        ("activity_l1=1e-6", "layers=256 D0.2 256 D0.2"),
        ("clipnorm=1.0",),
        ("clipvalue=0.5", "l2=0.001"),
    ],
)
def test_the_published_recipes_can_be_written(overrides: tuple[str, ...]) -> None:
    load_params(ROOT / "params.yaml", [f"train.{override}" for override in overrides])


def test_what_is_said_of_train_holds_for_every_network(tmp_path: Path) -> None:
    said = load_params(ROOT / "params.yaml", ["train.epochs=3", "train.schedule=cosine", "train.refits=7"])
    written = load_params(ROOT / "params.yaml")
    for name in written.networks:
        network = said.network(name)
        assert (network.epochs, network.schedule.kind) == (3, "cosine")
        assert network.layers == written.network(name).layers
    (tmp_path / "mine.yaml").write_text(
        f"extends: {ROOT / 'params.yaml'}\ntrain: {{tta: [], augment: {{elastic: 1.5}}}}\n"
        "networks: {medium: {augment: {elastic: 2.5}}}\n"
    )
    mine = load_params(tmp_path / "mine.yaml")
    assert {name: mine.network(name).tta for name in mine.networks} == dict.fromkeys(written.networks, ())
    assert mine.network("deep").augment.elastic == 1.5
    assert mine.network("medium").augment.elastic == 2.5
    assert mine.network("tiny").augment.rotation == written.network("tiny").augment.rotation


def test_what_was_measured_is_not_said_of_networks_that_are_changed(tmp_path: Path) -> None:
    slug = "digit-recognizer"

    def measured(*overrides: str) -> set[str]:
        return set(load_params(ROOT / "params.yaml", overrides).train.measured_accuracy[slug])

    every = measured()
    assert {"small", "medium"} <= every
    assert measured("train.seed=3", "train.network=medium") == every
    assert measured("train.epochs=2") == measured("train.augment.zoom=0") == set()
    assert measured("networks.medium.epochs=2") == every - {"medium"}
    assert measured("train.epochs=2", f"train.measured_accuracy={{{slug}: {{default: 0.9}}}}") == {"default"}
    (tmp_path / "mine.yaml").write_text(f"extends: {ROOT / 'params.yaml'}\nnetworks: {{medium: {{epochs: 2}}}}\n")
    assert set(load_params(tmp_path / "mine.yaml").train.measured_accuracy[slug]) == every - {"medium"}
