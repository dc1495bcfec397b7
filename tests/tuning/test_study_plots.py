"""Plots of a study have its results as titles."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from matplotlib import image as matplotlib_image
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from digits.common.plots import read_pictures
from digits.tuning.plots import draw_study
from digits.tuning.records import TrialRecord

SPACE = {
    "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "units": IntDistribution(16, 256),
    "optimizer": CategoricalDistribution(["adam", "sgd"]),
}


@pytest.fixture
def searched() -> tuple[optuna.Study, list[TrialRecord]]:
    """Forty trials whose accuracy follows from the learning rate alone; the last is the best of adam, and of all."""
    generator = np.random.default_rng(0)
    study, trials = optuna.create_study(direction="maximize"), []
    for number in range(40):
        rate = float(10 ** (-4 + 2 * number / 39))
        params = {
            "learning_rate": rate,
            "units": int(generator.integers(16, 256)),
            "optimizer": ("sgd", "adam")[number % 2],
        }
        accuracy = 0.9 + 0.002 * number
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=dict(SPACE), value=accuracy, intermediate_values={1: accuracy}
            )
        )
        result = {"rung": 0, "epochs": 0.5, "accuracy": accuracy, "log_loss": 1 - accuracy, "seconds": 9.0}
        overrides = {"optimizer": {"name": params["optimizer"]}}
        trials.append(TrialRecord(number, "", overrides, (result,), full=True, failed=False, cause=""))
    return study, trials


def test_each_plot_has_its_result_as_title(searched: tuple[optuna.Study, list[TrialRecord]], tmp_path: Path) -> None:
    written = draw_study(*searched, tmp_path, "a-search")
    assert read_pictures(tmp_path, "a-search") == written
    assert [*written] == ["history", "importances", "parallel", "slices"]
    titles = {name: picture.title for name, picture in written.items()}
    assert (
        titles["history"]
        == "trial-39 has the lowest log loss of 40 trials: 0.0220 after 9 s, with an accuracy of 0.9780"
    )
    assert titles["importances"].startswith("learning_rate is where the best trials after 9 s differ most from all: ")
    assert "the best has learning_rate 0.01, " in titles["parallel"]
    assert "the best has learning_rate 0.01, " in titles["slices"]
    for picture in written.values():
        drawn = matplotlib_image.imread(picture.path)
        assert drawn.shape[0] > 400, picture.path.name
        assert float(drawn[..., :3].std()) > 0.02, picture.path.name


def test_few_trials_have_few_plots(searched: tuple[optuna.Study, list[TrialRecord]], tmp_path: Path) -> None:
    empty = optuna.create_study()
    assert draw_study(empty, [], tmp_path, "a") == {} == read_pictures(tmp_path, "a")
    assert [*draw_study(empty, searched[1][:2], tmp_path, "a")] == ["history"]
