"""What the sections of params.yaml refuse together, and what can be written in them."""

import pytest

from digits.config import Params, load_params
from toys import ROOT, params_faults


def test_the_committed_file_is_valid_and_frozen(params: Params) -> None:
    assert params.competition.pixels == 784
    assert params.competition.pixel_columns[:2] == ["pixel0", "pixel1"]
    with pytest.raises(ValueError, match="frozen"):
        params.train.epochs = 3  # type: ignore[misc]


def test_what_excludes_each_other_is_refused() -> None:
    [fault] = params_faults("train.clipnorm=1.0", "train.clipvalue=0.5")
    assert fault == "params.yaml: train: clipnorm and clipvalue exclude each other; set one of them to null"


def test_what_contradicts_itself_is_refused() -> None:
    assert (
        "give [height, width] here, and the values per pixel as channels: 3"
        in params_faults("competition.image_shape=[28,28,3]")[0]
    )
    assert "labels_file needs train_id_column" in params_faults("competition.labels_file=labels.csv")[0]
    assert "begin with the smaller number" in params_faults("competition.pixel_range=[1,0]")[0]
    assert params_faults("competition.class_names=[a,b]") == [
        "params.yaml: competition: class_names has 2 names for 10 classes; correct one"
    ]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("train.network=wid",), "train.network = 'wid': there is no such network; did you mean networks.wide?"),
        (("networks=3",), "networks = 3"),
        (("train.measured_accuracy={toy: 3}", "train.epochs=2"), "train.measured_accuracy.toy = 3"),
        (('networks={"wide": {"epoch": 3}}',), "unknown key networks.wide.epoch; did you mean networks.wide.epochs?"),
        (
            ('networks={"wide": {"layers": "MP9 9MP"}}',),
            "networks.wide.layers: layer 2, '9MP', is none of the known kinds",
        ),
        (
            ('networks={"wide": {"layers": "MP9 MP9"}}', "train.network=wide"),
            "params.yaml: nothing is left of a 28x28 image at layer 2, Pool(size=9, kind='max')",
        ),
        (
            ('networks={"wide": {"layers": "MP9 MP9"}}', "train.candidates=[wide]"),
            "train.candidates = ['wide'], but images of 28x28 pixels are too small for all of them; default",
        ),
        (
            ('networks={"wide": {"epochs": "many"}}',),
            "networks.wide.epochs = 'many', but it must be a whole number from 1 to 10000",
        ),
    ],
)
def test_faults_in_networks_are_named(overrides: tuple[str, ...], expected: str) -> None:
    [line] = params_faults(
        'networks={"wide": {"epochs": 3}}', "train.candidates=[default]", "train.extra=[]", *overrides
    )
    assert expected in line


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


LETTERS = "competition.submission_label=[a,b,c,d,e,f,g,h,i,j]"


def test_probabilities_are_submitted_where_they_count() -> None:
    assert load_params(ROOT / "params.yaml", ["competition.metric=macro-f1"]).competition.submission_columns == [
        "ImageId",
        "Label",
    ]
    both = load_params(ROOT / "params.yaml", ["competition.metric=log-loss", LETTERS]).competition
    assert both.submission_columns == ["ImageId", *"abcdefghij"]
    assert params_faults("competition.metric=log-loss") == [
        "params.yaml: competition: the metric log-loss counts probabilities: set submission_label to a list of 10 "
        "columns, one for each class"
    ]
    for also in ((), ("competition.metric=macro-f1",)):
        [fault] = params_faults(LETTERS, *also)
        assert "set submission_label to one column, or metric to log-loss" in fault
    [fault] = params_faults("competition.metric=log-loss", "competition.submission_label=[a,b]")
    assert "2 columns of probabilities for 10 classes" in fault
