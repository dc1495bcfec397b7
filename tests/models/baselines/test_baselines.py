"""Every baseline of params.yaml and every other kind learns the practice digits and is loaded as it was saved."""

import io
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from digits.config import load_params
from digits.data.practice import practice_files
from digits.models import TaskSpec, build, load, save
from digits.models.baselines.mlp import SmallSampleMLP
from toys import ROOT, coloured_images

TREES = "{kind: extra-trees, deskew: true, n_components: null, n_estimators: 20, min_samples_leaf: 1}"
PARAMS = load_params(ROOT / "params.yaml", [f"baseline.models.trees={TREES}"])
TASK = TaskSpec((28, 28), 10, "/255")
SHORT = {"epochs": 12, "max_iter": 25, "early_stopping": False}  # at least 0.94 from every seed, a second each


SHORTEST = {"epochs": 2, "max_iter": 2}


def shortened(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A baseline of params.yaml with those of `changes` that its kind has."""
    spec = PARAMS.baseline.models[name].model_dump(mode="json")
    return spec | {key: value for key, value in changes.items() if key in spec}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For linear algebra, as `make baseline` fits: several threads wait for each other on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def practice() -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 784), and labels of the practice set's training file."""
    table = pd.read_csv(io.BytesIO(practice_files(PARAMS.competition)["train.csv"]))
    return table.drop(columns="label").to_numpy(np.uint8), table["label"].to_numpy()


@pytest.mark.parametrize("name", list(PARAMS.baseline.models))
def test_every_baseline_learns_and_is_saved(name: str, practice: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, labels = practice
    spec = shortened(name, SHORT)
    model = build(spec, TASK, 0, on_epoch=lambda *_: None).fit(images[:900], labels[:900])
    probabilities = model.predict_proba(images[900:])
    assert probabilities.shape == (len(images) - 900, 10)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities >= 0).all()
    assert (probabilities.argmax(axis=1) == labels[900:]).mean() > 0.9
    save(spec, model, tmp_path)
    again = load(spec, TASK, tmp_path)
    assert isinstance(again, Pipeline)
    assert np.array_equal(again.predict_proba(images[900:]), probabilities)


@pytest.mark.parametrize("deskew", [False, True])
@pytest.mark.parametrize("name", ["svm", "mlp-64", "augmented-mlp"])
def test_colours_are_learned(name: str, deskew: bool) -> None:
    images, labels = coloured_images(300, np.random.default_rng(0))
    spec = shortened(name, SHORT | {"deskew": deskew})
    model = build(spec, TaskSpec((12, 12), 3, "/255", 3), 0).fit(images[:240], labels[:240])
    assert (model.predict_proba(images[240:]).argmax(axis=1) == labels[240:]).mean() > 0.9


def test_probabilities_of_the_svm_leave_its_classes_as_they_are(practice: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = practice
    noise = np.random.default_rng(0).integers(0, 2, images.shape)
    images = images // 2 + (127 * noise).astype(np.uint8)  # hard enough to be wrong about
    model = build(PARAMS.baseline.models["svm"].model_dump(mode="json"), TASK, 0).fit(images[:900], labels[:900])
    [calibrated] = model["classifier"].calibrated_classifiers_
    decided = calibrated.estimator.decision_function(model[:-1].transform(images[900:])).argmax(axis=1)
    assert np.array_equal(model.predict(images[900:]), decided)


def test_features_are_float32(practice: tuple[np.ndarray, np.ndarray]) -> None:
    """float64 takes twice the memory and nearly twice the time."""
    images, labels = practice
    for name in ("augmented-mlp", "mlp-64", "logistic"):
        model = build(shortened(name, SHORTEST), TASK, 0).fit(images[:300], labels[:300])
        assert model.predict_proba(images).dtype == np.float32, name


def test_a_seed_decides_everything(practice: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = practice
    for name in ("svm", "trees", "mlp-64", "augmented-mlp"):
        spec = shortened(name, SHORTEST)
        first, again = (build(spec, TASK, 3).fit(images[:300], labels[:300]).predict_proba(images) for _ in range(2))
        assert np.array_equal(first, again), name


@pytest.mark.parametrize("name", ["knn-deskewed", "augmented-mlp"])
def test_there_are_no_more_components_than_pixels_or_images(name: str, practice: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = practice
    small = images.reshape(-1, 28, 28)[:, ::4, ::4].reshape(-1, 49)
    spec = shortened(name, SHORTEST)
    assert spec["n_components"] > 49
    for shape, learned in (((7, 7), small), ((28, 28), images[:45])):
        model = build(spec, TaskSpec(shape, 10, "/255"), 0).fit(learned, labels[: len(learned)])
        assert model.predict_proba(learned).shape == (len(learned), 10)


def test_an_mlp_learns_for_the_seconds_it_is_given_and_no_more() -> None:
    """Each hundred images, which are a part of an epoch, take a second."""
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3
    images = generator.normal(size=(600, 8)) + 3 * np.eye(3, 8)[labels]

    def fitted(seconds: int) -> SmallSampleMLP:
        looks = count(1)  # at the clock: before and after each part

        def seconds_left() -> float:
            return seconds - next(looks) // 2

        model = SmallSampleMLP([16], batch_size=10, early_stopping=True, learning_rate_init=0.01, random_state=0)
        return model.fit(images, labels, seconds_left)

    again = fitted(1)
    assert again.images_seen_ == 100
    assert again.fit(images, labels % 2, lambda: 0.0).classes_.tolist() == [0, 1], "an earlier fit is forgotten"
    assert fitted(9).images_seen_ == 900
    assert fitted(9).score(images, labels) > fitted(1).score(images, labels)
    assert fitted(9).score(images, labels) > 0.95
    assert fitted(9).early_stopping, "as it was asked for"


def test_parts_of_an_epoch_have_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a step in eleven would follow few images: 2,016 are ten batches of 200, and one of 16."""
    parts = list[int]()

    def learn(self: SmallSampleMLP, X: np.ndarray, y: np.ndarray, classes: Any = None) -> None:
        parts.append(len(X))

    monkeypatch.setattr(SmallSampleMLP, "partial_fit", learn)
    for images in (30, 605, 1000):
        parts.clear()
        looked = partial(lambda images: float(images - sum(parts)), images)
        model = SmallSampleMLP([16], batch_size=10)
        model.fit(np.zeros((images, 8)), np.arange(images) % 3, looked)
        assert sum(parts) == images
        assert not [part for part in parts[:-1] if part % 10]
