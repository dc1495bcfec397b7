"""The scikit-learn family."""

import warnings
from pathlib import Path

import joblib
import numpy as np

from conftest import toy_images
from digits.config import Params
from digits.models import Setting, build, save

SETTING = Setting((12, 12), 3, "/255")


def test_it_learns_in_float32_without_warnings(toy_params: Params, tmp_path: Path) -> None:
    images, labels = toy_images(300, np.random.default_rng(0))
    spec = toy_params.baseline.models["mlp-128"].model_dump(mode="json") | {"max_iter": 15}
    model = build(spec, SETTING, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(images[:200], labels[:200])
    probabilities = model.predict_proba(images[200:])
    assert probabilities.dtype == np.float32
    assert (probabilities.argmax(axis=1) == labels[200:]).mean() > 0.9
    again = build(spec, SETTING, seed=0)
    again.fit(images[:200], labels[:200])
    assert np.array_equal(again.predict_proba(images[200:]), probabilities)
    save(spec, model, tmp_path)
    assert np.array_equal(joblib.load(tmp_path / "model.joblib").predict_proba(images[200:]), probabilities)
