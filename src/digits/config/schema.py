"""What params.yaml may say: one frozen model per section, every value with its type and range.

The values themselves, with their units and reasons, stand in params.yaml and nowhere else: no field of a section
has a default here.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from digits.layers import output_size, parse_layers


def overlay(below: dict[str, Any], above: dict[str, Any], whole: Collection[str] = (), key: str = "") -> dict[str, Any]:
    """`above` over `below`, dictionary by dictionary but for those whose full key is in `whole`: they are replaced."""
    merged = dict(below)
    for name, value in above.items():
        path = f"{key}.{name}" if key else name
        both = isinstance(value, dict) and isinstance(below.get(name), dict) and path not in whole
        merged[name] = overlay(below[name], value, whole, path) if both else value
    return merged


class Section(BaseModel):
    """Frozen; unknown keys and wrong types are refused, and nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _layers(text: str) -> str:
    parse_layers(text)
    return text


# YAML has lists only; inside, the elements stay strict.
Shape = Annotated[tuple[Annotated[int, Field(ge=4, le=512)], Annotated[int, Field(ge=4, le=512)]], Field(strict=False)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(strict=False, min_length=1)]
Layers = Annotated[str, AfterValidator(_layers)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Share = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
Rows = Annotated[int, Field(ge=1)] | None
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "linear"]
Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "random_uniform", "random_normal"
]
Normalise = Literal["/255", "/256", "standard", "minmax", "none"]


class Competition(Section):
    """The shape of a competition's files."""

    slug: Name
    train_file: FileName
    test_file: FileName
    sample_file: FileName
    label_column: str
    test_id_column: str | None
    pixel_prefix: str
    first_pixel: Annotated[int, Field(ge=0)]
    submission_id: str
    submission_label: str
    first_id: Annotated[int, Field(ge=0)]
    image_shape: Shape
    classes: Annotated[int, Field(ge=2, le=256)]
    class_names: Annotated[tuple[str, ...], Field(strict=False)] | None
    train_rows: Rows
    test_rows: Rows

    @field_validator("image_shape", mode="before")
    @classmethod
    def _one_channel(cls, shape: Any) -> Any:
        if isinstance(shape, list) and len(shape) == 3:
            raise ValueError("colour images are not supported: one value per pixel, so [height, width]")
        return shape

    @model_validator(mode="after")
    def _a_name_for_each_class(self) -> Self:
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {self.classes} classes")
        return self

    @property
    def pixels(self) -> int:
        """Pixels per image."""
        return self.image_shape[0] * self.image_shape[1]

    @property
    def pixel_columns(self) -> list[str]:
        """Header names of the pixels, row by row from the upper left."""
        return [f"{self.pixel_prefix}{number}" for number in range(self.first_pixel, self.first_pixel + self.pixels)]


class DataParams(Section):
    """How the labelled images are split and every image is normalised."""

    folds: Annotated[int, Field(ge=2, le=50)]
    holdout: Annotated[float, Field(gt=0, lt=0.9)]
    seed: Seed
    normalise: Normalise


class Augment(Section):
    """Largest random distortions of a training image, and the deviation of its elastic field; see digits.augment."""

    rotation: Annotated[float, Field(ge=0, le=180)]
    zoom: Share
    shear: Annotated[float, Field(ge=0, le=60)]
    shift: Annotated[float, Field(ge=0, le=100)]
    elastic: Annotated[float, Field(ge=0, le=10)]


class Preprocessed(Section):
    """What happens to the images before a scikit-learn classifier sees them."""

    deskew: bool
    components: Annotated[int, Field(ge=1)] | None


class Perceptron(Preprocessed):
    """What scikit-learn's MLPClassifier is always told; as in all specs of scikit-learn's, under its own names."""

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
    """An MLPClassifier that sees every image distorted anew in every epoch."""

    kind: Literal["augmented-mlp"]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate_left: Annotated[float, Field(ge=0, le=1)]
    averaged: Share
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
    """A scikit-learn SVC with the Gaussian kernel, its decisions turned into probabilities."""

    kind: Literal["svm"]
    C: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(gt=0)] | Literal["scale"]
    calibration: Annotated[float, Field(gt=0, le=0.5)]


class ExtraTreesSpec(Preprocessed):
    """A scikit-learn ExtraTreesClassifier."""

    kind: Literal["extra-trees"]
    n_estimators: Annotated[int, Field(ge=1)]
    min_samples_leaf: Annotated[int, Field(ge=1)]


BaselineSpec = Annotated[
    MlpSpec | AugmentedMlpSpec | LogisticSpec | KnnSpec | SvmSpec | ExtraTreesSpec, Field(discriminator="kind")
]


def _word(key: str) -> BeforeValidator:
    """A word alone stands for a section that has this key and nothing else."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Sgd(Section):
    """Stochastic gradient descent with its momentum."""

    name: Literal["sgd"]
    momentum: Share
    nesterov: bool


OtherName = Literal[
    "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam", "adamw", "lion", "muon", "schedule-free-adamw"
]
OptimizerName = Literal["sgd", OtherName]


class OtherOptimizer(Section):
    """An optimizer that has no parameters of its own here but the learning rate; the rest are Keras' defaults."""

    name: OtherName


Optimizer = Annotated[Sgd | OtherOptimizer, Field(discriminator="name"), _word("name")]


class Steady(Section):
    """A learning rate that stays, or falls along half a cosine to 0."""

    kind: Literal["constant", "cosine"]


class InverseTime(Section):
    """learning_rate / (1 + decay * step)."""

    kind: Literal["inverse-time"]
    decay: Annotated[float, Field(ge=0)]


class OneCycle(Section):
    """A rise in a line over the share `warm_up` of all steps, then a fall along half a cosine to 0."""

    kind: Literal["one-cycle"]
    warm_up: Share


class Plateau(Section):
    """Times `factor` whenever the log loss on the fold's valid part has not fallen for `patience` epochs."""

    kind: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Annotated[int, Field(ge=0)]


Schedule = Annotated[Steady | InverseTime | OneCycle | Plateau, Field(discriminator="kind"), _word("kind")]


class View(Section):
    """One way of looking at an image, in degrees, shares of the size and pixels down and right; 0 where not said."""

    rotation: Annotated[float, Field(ge=-180, le=180)] = 0.0
    zoom: Annotated[float, Field(gt=-1, le=4)] = 0.0
    shear: Annotated[float, Field(ge=-60, le=60)] = 0.0
    shift: Annotated[tuple[float, float], Field(strict=False)] = (0.0, 0.0)


class CnnSpec(Section):
    """A Keras network and how it is trained."""

    kind: Literal["cnn"]
    layers: Layers
    activation: Activation
    initializer: Initializer
    l1: Annotated[float, Field(ge=0)]
    l2: Annotated[float, Field(ge=0)]
    activity_l1: Annotated[float, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    min_steps: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"]
    optimizer: Optimizer
    learning_rate: LearningRate
    schedule: Schedule
    weight_decay: Annotated[float, Field(ge=0, lt=1)] | None
    clip_norm: Annotated[float, Field(gt=0)] | None
    clip_value: Annotated[float, Field(gt=0)] | None
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    label_smoothing: Share
    patience: Annotated[int, Field(ge=0)] | None
    keep_best: bool
    augment: Augment
    views: Annotated[tuple[View, ...], Field(strict=False)]
    precision: Literal["float32", "mixed_bfloat16", "auto"]
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"]

    @model_validator(mode="after")
    def _what_goes_together(self) -> Self:
        if self.ema is not None and (self.keep_best or self.patience is not None):
            raise ValueError("ema averages to the last epoch; keep_best and patience would judge weights without it")
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_norm and clip_value exclude each other")
        return self


class BaselineParams(Section):
    """The scikit-learn models of `make baseline`."""

    seed: Seed
    workers: Annotated[int, Field(ge=0)]
    models: Annotated[dict[Name, BaselineSpec], Field(min_length=1)]


class SearchSpace(Section):
    """Choices and ranges, lowest and highest, that `tune` draws from."""

    blocks: Annotated[tuple[int, int], Field(strict=False)]
    filters: Widths
    dense: Widths
    dropout: Annotated[tuple[float, float], Field(strict=False)]
    optimizer: Annotated[tuple[OptimizerName, ...], Field(strict=False, min_length=1)]
    learning_rate: Annotated[tuple[float, float], Field(strict=False)]

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("blocks", "dropout", "learning_rate"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name}: the lower end {low} is above the upper end {high}")
        if not (self.blocks[0] >= 1 and self.dropout[0] >= 0 and self.dropout[1] < 1 and self.learning_rate[0] > 0):
            raise ValueError("blocks must be at least 1, dropout from 0 to below 1, learning_rate above 0")
        return self


class TuneParams(Section):
    """The search of `make tune`."""

    seed: Seed
    trials: Annotated[int, Field(ge=1, le=100_000)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    space: SearchSpace


class TrainParams(CnnSpec):
    """The network of `make train`."""

    network: Name | None
    seed: Seed
    use_tuned: bool

    @property
    def spec(self) -> CnnSpec:
        """The network alone, without what belongs to the stage."""
        return CnnSpec(**{name: getattr(self, name) for name in CnnSpec.model_fields})


class EnsembleParams(Section):
    """The weighted blend of `make ensemble`."""

    rounds: Annotated[int, Field(ge=1, le=10_000)]


class SubmitParams(Section):
    """What goes with a submission."""

    message: str


class Params(Section):
    """All of params.yaml."""

    competition: Competition
    data: DataParams
    baseline: BaselineParams
    tune: TuneParams
    train: TrainParams
    networks: dict[Name, dict[str, Any]]
    ensemble: EnsembleParams
    submit: SubmitParams

    def network(self, name: str) -> CnnSpec:
        """`train`, with what the network of that name says laid over it. Raises ValidationError."""
        return CnnSpec.model_validate(overlay(self.train.spec.model_dump(), self.networks[name]))

    @model_validator(mode="after")
    def _networks_fit_the_images(self) -> Self:
        output_size(parse_layers(self.train.layers), self.competition.image_shape)
        for name in self.networks:
            try:
                output_size(parse_layers(self.network(name).layers), self.competition.image_shape)
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, ("networks", name, *fault["loc"])))
                raise ValueError(f"{where} = {fault['input']!r}: {fault['msg']}") from None
            except ValueError as error:
                raise ValueError(f"networks.{name}: {error}") from None
        return self

    @model_validator(mode="after")
    def _no_more_components_than_pixels(self) -> Self:
        for name, spec in self.baseline.models.items():
            if spec.components is not None and spec.components > self.competition.pixels:
                key = f"baseline.models.{name}.components"
                raise ValueError(f"{key} = {spec.components}, but an image has {self.competition.pixels} pixels")
        return self
