"""Out-of-fold predictions: every row once, by a model that has not seen it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from digits.config import Params
from digits.data.dataset import Dataset
from digits.models import TaskSpec, load, save
from digits.training.crossval import assemble, fit, fit_fold, rows_of


class Remembers:
    """A model that recognises exactly the images it was fitted on."""

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> None:
        self.seen = {image.tobytes() for image in X}

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.floating]:
        known = np.array([image.tobytes() in self.seen for image in X], dtype=float)
        return np.column_stack([known, 1 - known, np.zeros(len(X))])


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_model_sees_what_it_is_judged_on(toy_data: Dataset, monkeypatch: pytest.MonkeyPatch, fold: int) -> None:
    model = Remembers()
    monkeypatch.setattr("digits.training.crossval.build", lambda *_: model)
    fitted = fit_fold(toy_data, fold, {"kind": "mlp"}, "/255", 0)
    assert len(model.seen) == 180 - len(fitted.predictions.valid) - 18
    for part in (fitted.predictions.valid, fitted.predictions.holdout, fitted.predictions.test):
        assert (part[:, 0] == 0).all()


def test_networks_look_at_the_valid_part_and_at_nothing_else(
    toy_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: dict[str, Any] = {}

    class Looks(Remembers):
        def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64], **watched: Any) -> None:
            looked_at.update(watched)

    monkeypatch.setattr("digits.training.crossval.build", lambda *_: Looks())
    fit(toy_data, 1, {"kind": "cnn"}, "/255", 0)
    assert np.array_equal(looked_at["X_valid"], toy_data.images[toy_data.valid_rows(1)])
    assert np.array_equal(looked_at["y_valid"], toy_data.labels[toy_data.valid_rows(1)])


def test_a_fold_is_fitted_and_predicted(toy_data: Dataset, toy_params: Params) -> None:
    spec: dict[str, Any] = toy_params.baseline.models["small"].model_dump(mode="json")
    fitted = fit_fold(toy_data, 1, spec, "/255", 0)
    assert fitted.predictions.valid.shape == (len(toy_data.valid_rows(1)), 3)
    assert fitted.predictions.holdout.shape == (18, 3)
    assert fitted.predictions.test.shape == (30, 3)
    assert fitted.predictions.valid.dtype == np.float32
    assert fitted.fit_seconds > 0


@pytest.mark.slow
def test_a_fold_of_colours_is_fitted_and_predicted(coloured_data: Dataset, toy_params: Params) -> None:
    """Where the label is told by nothing but colour, by a network and a baseline."""
    network = toy_params.train.spec.model_dump(mode="json") | {"epochs": 8, "learning_rate": 0.02}
    for spec in (network, toy_params.baseline.models["nearest"].model_dump(mode="json")):
        valid = fit_fold(coloured_data, 1, spec, "/255", 0).predictions.valid
        assert (valid.argmax(axis=1) == coloured_data.labels[coloured_data.valid_rows(1)]).mean() > 0.9


def test_an_iteration_budget_that_is_used_up_is_no_warning(
    toy_data: Dataset, toy_params: Params, recwarn: pytest.WarningsRecorder
) -> None:
    mlp = toy_params.baseline.models["small"].model_dump(mode="json")
    logistic = {"kind": "logistic", "deskew": False, "n_components": None, "C": 1.0, "max_iter": 2}
    for spec in (mlp | {"max_iter": 2}, logistic):
        fit(toy_data, 0, spec, "/255", 0)
    assert not [warning for warning in recwarn if "onverge" in str(warning.message)]


def test_normalisation_is_fitted_on_the_training_part_of_the_fold_alone(
    toy_data: Dataset, toy_params: Params, tmp_path: Path
) -> None:
    """Brighter images anywhere else leave the fitted numbers as they are, and they are stored with the model."""
    spec = toy_params.baseline.models["small"].model_dump(mode="json")
    images = np.array(toy_data.images)
    images[toy_data.valid_rows(0)] = 255
    images[toy_data.holdout_rows] = 255
    brighter = replace(toy_data, images=images, test_images=np.full_like(toy_data.test_images, 255))
    for kind in ("standard", "minmax"):
        models = [fit(data, 0, spec, kind, 0) for data in (toy_data, brighter)]
        for number, model in enumerate(models):
            folder = tmp_path / f"{kind}-{number}"
            folder.mkdir()
            save(spec, model, folder)
        task = TaskSpec((12, 12), 3, kind)
        again = (cast(Any, load(spec, task, tmp_path / f"{kind}-{number}")) for number in (0, 1))
        first, second = (pipeline["normalise"] for pipeline in again)
        assert np.array_equal(first.offset_, second.offset_)
        assert np.array_equal(first.scale_, second.scale_)
        train = toy_data.images[toy_data.train_rows(0)]
        assert np.allclose(first.offset_, train.mean() if kind == "standard" else train.min(axis=0))


def test_assembled_rows_are_in_order(toy_data: Dataset) -> None:
    working = toy_data.working_rows
    truth = np.random.default_rng(0).random((180, 3)).astype(np.float32)
    valid = {fold: truth[toy_data.valid_rows(fold)] for fold in (2, 0, 1)}
    assert np.array_equal(assemble(toy_data, valid), truth[working])
    del valid[1]
    some = rows_of(toy_data, [0, 2])
    assert set(some) == set(toy_data.valid_rows(0)) | set(toy_data.valid_rows(2))
    assert (np.diff(some) > 0).all()
    assert np.array_equal(assemble(toy_data, valid), truth[some])


def test_predictions_that_are_not_a_folds_own_are_noticed(toy_data: Dataset) -> None:
    with pytest.raises(ValueError, match=r"fold 1 has \d+ rows, but 5 predictions"):
        assemble(toy_data, {1: np.ones((5, 3), np.float32)})
