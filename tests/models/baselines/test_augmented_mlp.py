"""The augmented MLP: its schedule and augmentation, in the fitted network."""

from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from digits.config import validate
from digits.config.baselines import AugmentedMlpSpec
from digits.data.dataset import Dataset
from digits.models import TaskSpec, build
from digits.models.baselines.augmented_mlp import AugmentedMLPClassifier

NO_AUGMENTATION = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0, "flip": False}
SPEC: dict[str, Any] = {
    "kind": "augmented-mlp",
    "deskew": False,
    "n_components": None,
    "hidden_layer_sizes": [16],
    "activation": "relu",
    "solver": "sgd",
    "alpha": 0.0,
    "batch_size": 16,
    "learning_rate_init": 0.1,
    "final_learning_rate_fraction": 0.0,
    "epochs": 6,
    "augment": NO_AUGMENTATION,
}
TASK = TaskSpec((12, 12), 3, "/255")


@pytest.fixture
def images(toy_data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(toy_data.images[:160]), np.asarray(toy_data.labels[:160])


def network(mlp: MLPClassifier | None = None, **params: Any) -> AugmentedMLPClassifier:
    return AugmentedMLPClassifier(mlp or MLPClassifier((8,), batch_size=20), random_state=0, **params)


def test_the_spec_of_the_test_is_one_that_params_may_hold() -> None:
    assert validate(AugmentedMlpSpec, SPEC, "test").epochs == 6


def test_an_epoch_without_augmentation_is_partial_fit_of_all(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Without augmentation and decay, with one batch of all images, it is MLPClassifier itself."""
    X, y = images[0][:, :50] / 255, images[1]
    mlp = MLPClassifier((8,), solver="sgd", batch_size=160, learning_rate_init=0.1)
    ours = network(mlp, epochs=5, final_learning_rate_fraction=1.0).fit(X, y)
    plain = MLPClassifier(
        (8,), solver="sgd", batch_size=160, learning_rate_init=0.1, random_state=ours.mlp_.random_state
    )
    for _ in range(5):
        plain.partial_fit(X.astype(np.float32), y, classes=[0, 1, 2])
    for mine, theirs in zip(ours.mlp_.coefs_, plain.coefs_, strict=True):
        assert np.allclose(mine, theirs, atol=1e-4)
    assert ours.history_[-1]["loss"] == pytest.approx(plain.loss_, abs=1e-4)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_learning_rate_reaches_the_weights(solver: str, images: tuple[np.ndarray, np.ndarray]) -> None:
    """Where the rate falls to 0, the last step of Adam or of SGD without momentum is about 0 too."""
    changes = {}
    for left in (0.0, 1.0):
        mlp = MLPClassifier((8,), solver=solver, batch_size=160, momentum=0.0, learning_rate_init=0.01)
        weights = weights_by_epoch(network(mlp, epochs=100, final_learning_rate_fraction=left), images)
        changes[left] = np.abs(weights[-1] - weights[-2]).max()
    assert changes[0.0] < 0.01 * changes[1.0]


def weights_by_epoch(model: AugmentedMLPClassifier, images: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """First-layer weights after each epoch of a fit."""
    weights: list[np.ndarray] = []
    model.set_params(on_epoch=lambda *_: weights.append(model.mlp_.coefs_[0].copy()))
    model.fit(images[0] / 255, images[1])
    return weights


def test_the_rate_falls_along_half_a_cosine(images: tuple[np.ndarray, np.ndarray]) -> None:
    mlp = MLPClassifier((8,), batch_size=160, learning_rate_init=0.02)
    model = network(mlp, epochs=10, final_learning_rate_fraction=0.1).fit(images[0] / 255, images[1])
    rates = [record["learning_rate"] for record in model.history_]
    expected = [0.02 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * epoch / 10))) for epoch in range(10)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    "augment", [{"shift": 0.4}, {"elastic": 0.3}, {"rotation": 4.0}, {"zoom": 0.05}, {"shear": 4.0}]
)
def test_every_epoch_augments_anew_and_labels_stay_with_their_images(
    augment: dict[str, Any], images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training images are augmented images of the class of their label."""
    X, y = images
    batches: list[tuple[np.ndarray, np.ndarray]] = []
    plain = MLPClassifier.partial_fit

    def recorded(self: Any, features: np.ndarray, labels: np.ndarray, **classes: Any) -> Any:
        batches.append((features, labels))
        return plain(self, features, labels, **classes)

    monkeypatch.setattr(MLPClassifier, "partial_fit", recorded)
    network(MLPClassifier((8,), batch_size=160), image_shape=(12, 12), epochs=3, augment=NO_AUGMENTATION | augment).fit(
        X, y
    )
    rows = np.concatenate([features for features, _ in batches])
    assert len(np.unique(rows, axis=0)) == 3 * 160
    assert not np.array_equal(batches[0][1], batches[1][1])
    for features, labels in batches:
        bands = features.reshape(-1, 3, 48).sum(axis=2)
        assert np.array_equal(bands.argmax(axis=1), labels)
        assert features.dtype == np.float32


def test_half_of_the_images_are_mirrored(
    images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    plain = MLPClassifier.partial_fit

    def recorded(self: Any, features: np.ndarray, labels: np.ndarray, **classes: Any) -> Any:
        seen.extend(features)
        return plain(self, features, labels, **classes)

    monkeypatch.setattr(MLPClassifier, "partial_fit", recorded)
    network(
        MLPClassifier((8,), batch_size=160), image_shape=(12, 12), epochs=3, augment=NO_AUGMENTATION | {"flip": True}
    ).fit(*images)
    originals = {tuple(image) for image in images[0]}
    mirrored = {tuple(image) for image in images[0].reshape(-1, 12, 12)[:, :, ::-1].reshape(-1, 144)}
    kinds = [(tuple(features) in originals, tuple(features) in mirrored) for features in seen]
    assert set(kinds) == {(True, False), (False, True)}
    assert np.mean(kinds, axis=0) == pytest.approx(0.5, abs=0.08)


def test_the_same_seed_is_the_same_network(images: tuple[np.ndarray, np.ndarray]) -> None:
    spec = SPEC | {"augment": NO_AUGMENTATION | {"rotation": 5.0, "elastic": 0.3}}
    first, again, other = (build(spec, TASK, seed).fit(*images).predict_proba(images[0]) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_projection_is_fitted_on_original_images_and_used_for_both(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    model = build(SPEC | {"n_components": 5, "deskew": True}, TASK, 0)
    assert isinstance(model, Pipeline)
    model.fit(*images)
    classifier = model["classifier"]
    assert classifier.mlp_.n_features_in_ == 5
    upright = model["deskew"].transform(images[0])
    assert np.allclose(classifier.features_["pca"].pca_.mean_, upright.mean(axis=0) / 255, atol=1e-5)
    assert (model.predict(images[0]) == images[1]).mean() > 0.9
