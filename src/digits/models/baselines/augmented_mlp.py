"""scikit-learn's MLPClassifier with new data augmentation in every epoch."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from digits.models import OnEpoch, TaskSpec
from digits.models.augmentation import augment_images
from digits.models.baselines.pipelines import feature_steps, image_steps, load, save

__all__ = ["AugmentedMLPClassifier", "build", "load", "save"]

_BATCHES_PER_CHUNK = 8  # batches that are augmented together and share a learning rate
_NO_AUGMENTATION = {"rotation": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "elastic": 0.0, "flip": False}


@dataclass(eq=False, repr=False)
class AugmentedMLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An MLPClassifier fitted by `partial_fit`, with augmentation and cosine decay.

    mlp: unfitted MLPClassifier with a stochastic solver; None: one with scikit-learn's defaults. features: transformer
    between the augmented images and mlp, fitted on the original ones; None: the pixels as they are. image_shape:
    (height, width); None takes each example as one row of pixels. channels: values per pixel. epochs: passes over the
    images, augmented afresh. final_learning_rate_fraction: share of mlp's learning_rate_init at the end of half a
    cosine (I. Loshchilov and F. Hutter, 2017, SGDR, arXiv:1608.03983, equation 5); 1: a constant rate. augment:
    parameters of `augment_images`; None: no augmentation.

    Fitted: classes_, n_features_in_, features_, mlp_, history_ (one dictionary per epoch: loss, learning_rate).
    """

    mlp: MLPClassifier | None = None
    features: TransformerMixin | None = None
    _: KW_ONLY
    image_shape: tuple[int, int] | None = None
    channels: int = 1
    epochs: int = 50
    final_learning_rate_fraction: float = 0.0
    augment: dict[str, Any] | None = None
    random_state: int | np.random.RandomState | None = None
    on_epoch: OnEpoch | None = None

    def fit(self, X: NDArray[np.number], y: NDArray[Any]) -> Self:
        """Learn from X, (n, pixels), and labels y, (n,), from fresh weights. Raises ValueError for other shapes."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=2)
        generator = np.random.default_rng(seeds[0])
        self.classes_ = np.unique(y)
        self.features_ = None if self.features is None else clone(self.features).fit(X, y)
        self.mlp_ = MLPClassifier() if self.mlp is None else clone(self.mlp)
        batch = min(200 if self.mlp_.batch_size == "auto" else self.mlp_.batch_size, len(X))
        self.mlp_.set_params(batch_size=batch, shuffle=False, random_state=int(seeds[1]))
        self.history_: list[dict[str, float]] = []
        used = len(X) // batch * batch  # images in a smaller last batch would have more weight
        for epoch in range(self.epochs):
            order = generator.permutation(len(X))[:used]
            loss = 0.0
            for first in range(0, used, batch * _BATCHES_PER_CHUNK):
                rows = order[first : first + batch * _BATCHES_PER_CHUNK]
                progress = (epoch + first / used) / self.epochs
                rate = self._learning_rate(progress)
                _set_learning_rate(self.mlp_, rate)
                features = self._to_features(self._augment(X[rows], generator))
                self.mlp_.partial_fit(features, y[rows], classes=self.classes_)
                loss += self.mlp_.loss_ * len(rows) / used
            self.history_.append({"loss": float(loss), "learning_rate": rate})
            if self.on_epoch:
                self.on_epoch(epoch + 1, self.epochs, self.history_[-1])
        return self

    def predict_proba(self, X: NDArray[np.number]) -> NDArray[np.floating]:
        """Probabilities, (n, classes), in the order of classes_."""
        check_is_fitted(self)
        images = validate_data(self, X, reset=False)
        probabilities: NDArray[np.floating] = self.mlp_.predict_proba(self._to_features(images))
        return probabilities

    def predict(self, X: NDArray[np.number]) -> NDArray[Any]:
        """Most probable class of each example, (n,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {"on_epoch": None}  # a callback is not part of the model, and may not be picklable

    def _augment(self, X: NDArray[np.number], generator: np.random.Generator) -> NDArray[np.float32]:
        shape = self.image_shape or (1, X.shape[1] // self.channels)
        images = X.reshape(-1, *shape, self.channels)
        return augment_images(generator, images, **(self.augment or _NO_AUGMENTATION)).reshape(X.shape)

    def _to_features(self, X: NDArray[np.number]) -> NDArray[np.floating]:
        features: NDArray[Any] = X if self.features_ is None else self.features_.transform(X)
        return features

    def _learning_rate(self, progress: float) -> float:
        final, cosine = self.final_learning_rate_fraction, 0.5 * (1 + np.cos(np.pi * progress))
        return float(self.mlp_.learning_rate_init * (final + (1 - final) * cosine))


def _set_learning_rate(mlp: MLPClassifier, rate: float) -> None:
    """Change the learning rate between two calls of partial_fit; before the first, it is learning_rate_init.

    scikit-learn has no schedule that ends at a given time and no public attribute for the rate: it is in the optimizer
    that partial_fit keeps. Adam reads `learning_rate_init` in each step; SGD keeps `learning_rate`.
    """
    if optimizer := getattr(mlp, "_optimizer", None):
        setattr(optimizer, {"sgd": "learning_rate", "adam": "learning_rate_init"}[mlp.solver], rate)


def build(spec: dict[str, Any], task: TaskSpec, seed: int, on_epoch: OnEpoch | None) -> Pipeline:
    """Unfitted pipeline; images are deskewed, then augmented, normalised and projected in every epoch."""
    network = ("hidden_layer_sizes", "activation", "solver", "alpha", "batch_size", "learning_rate_init")
    classifier = AugmentedMLPClassifier(
        MLPClassifier(**{name: spec[name] for name in network}),
        Pipeline(feature_steps(spec, task)),
        image_shape=task.image_shape,
        channels=task.channels,
        epochs=spec["epochs"],
        final_learning_rate_fraction=spec["final_learning_rate_fraction"],
        augment=spec["augment"],
        random_state=seed,
        on_epoch=on_epoch,
    )
    return Pipeline([*image_steps(spec, task), ("classifier", classifier)])
