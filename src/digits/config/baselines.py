"""The scikit-learn models of `make baseline`, with their parameters under scikit-learn's own names."""

from typing import Annotated, Literal

from pydantic import Field

from digits.config.section import Augment, LearningRate, Section, Widths


class Preprocessed(Section):
    """Preprocessing of the images for a classifier. n_components: of the PCA; None: no PCA, the pixels themselves."""

    deskew: bool
    n_components: Annotated[int, Field(ge=1)] | None


class Perceptron(Preprocessed):
    """Parameters of every MLPClassifier here."""

    hidden_layer_sizes: Widths
    activation: Literal["identity", "logistic", "tanh", "relu"]
    solver: Literal["adam", "sgd"]
    alpha: Annotated[float, Field(ge=0)]
    learning_rate_init: LearningRate


class MlpSpec(Perceptron):
    """A scikit-learn MLPClassifier."""

    kind: Literal["mlp"]
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"]
    max_iter: Annotated[int, Field(ge=1)]
    early_stopping: bool
    n_iter_no_change: Annotated[int, Field(ge=1)]


class AugmentedMlpSpec(Perceptron):
    """A scikit-learn MLPClassifier with new random augmentation of the training images in every epoch."""

    kind: Literal["augmented-mlp"]
    batch_size: Annotated[int, Field(ge=1)]
    final_learning_rate_fraction: Annotated[float, Field(ge=0, le=1)]
    epochs: Annotated[int, Field(ge=1)]
    augment: Augment


class LogisticSpec(Preprocessed):
    """A scikit-learn LogisticRegression."""

    kind: Literal["logistic"]
    C: Annotated[float, Field(gt=0)]
    max_iter: Annotated[int, Field(ge=1)]


class KnnSpec(Preprocessed):
    """A scikit-learn KNeighborsClassifier."""

    kind: Literal["knn"]
    n_neighbors: Annotated[int, Field(ge=1)]
    weights: Literal["uniform", "distance"]


class SvmSpec(Preprocessed):
    """A scikit-learn SVC with the Gaussian kernel, and probabilities calibrated on a share of the training images."""

    kind: Literal["svm"]
    C: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(gt=0)] | Literal["scale"]
    calibration_fraction: Annotated[float, Field(gt=0, le=0.5)]


class ExtraTreesSpec(Preprocessed):
    """A scikit-learn ExtraTreesClassifier."""

    kind: Literal["extra-trees"]
    n_estimators: Annotated[int, Field(ge=1)]
    min_samples_leaf: Annotated[int, Field(ge=1)]


BaselineSpec = Annotated[
    MlpSpec | AugmentedMlpSpec | LogisticSpec | KnnSpec | SvmSpec | ExtraTreesSpec, Field(discriminator="kind")
]
