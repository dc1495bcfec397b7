"""The sections of params.yaml, one frozen model each, every value with its type and range.

The values themselves, with their units and reasons, are in params.yaml and nowhere else: no field of a section has a
default here.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from digits.common.matching import hint
from digits.config.baselines import BaselineSpec
from digits.config.competition import Competition
from digits.config.faults import explain
from digits.config.networks import CnnSpec
from digits.config.section import Name, Section, Seed, overlay
from digits.models.architecture import output_size, parse_layers
from digits.models.search_space import narrow_space

DEFAULT = "default"  # name of the network that `train` describes by itself
Normalise = Literal["/255", "/256", "standard", "minmax", "none"]

Accuracy = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=1)]


class DataParams(Section):
    """How the labelled images are split, and how all images are normalised."""

    folds: Annotated[int, Field(ge=2, le=50)]
    holdout: Annotated[float, Field(gt=0, lt=0.9)]
    seed: Seed
    normalise: Normalise


class BaselineParams(Section):
    """The scikit-learn models of `make baseline`."""

    seed: Seed
    workers: Annotated[int, Field(ge=0)]
    models: Annotated[dict[Name, BaselineSpec], Field(min_length=1)]


class TuneParams(Section):
    """The search of `make tune`."""

    model: Name
    seed: Seed
    budget: Annotated[float, Field(gt=0)]
    workers: Annotated[int, Field(ge=0, le=1024)]
    storage: str | None
    n_trials: Annotated[int, Field(ge=1)] | None
    reduction_factor: Annotated[int, Field(ge=2, le=100)]
    finalists: Annotated[int, Field(ge=1, le=100)]
    seeds: Annotated[int, Field(ge=1, le=100)]
    enqueue: dict[Name, dict[str, Any]]
    space: dict[str, Any]


class TrainParams(CnnSpec):
    """The network of `make train`."""

    budget: Annotated[float, Field(gt=0)]
    network: Name | None
    candidates: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    extra: Annotated[tuple[Name, ...], Field(strict=False)]
    measured_accuracy: dict[Name, dict[Name, Accuracy | dict[Epochs, Accuracy]]]
    refits: Annotated[int, Field(ge=0, le=10_000)]
    seed: Seed
    use_tuned: bool

    @property
    def spec(self) -> CnnSpec:
        """The network's own parameters, without those of the command."""
        return CnnSpec(**{name: getattr(self, name) for name in CnnSpec.model_fields})


class EnsembleParams(Section):
    """The blend of `make ensemble`."""

    selection_rounds: Annotated[int, Field(ge=1, le=10_000)]
    stacking_c: Annotated[float, Field(gt=0)]


class SubmitParams(Section):
    """The message of a submission, whether Kaggle has a competition to upload it to, and what that takes."""

    message: Annotated[str, Field(max_length=200)]
    upload: bool
    how: Literal["file", "code"]


class KaggleParams(Section):
    """Time limits and retries of requests to Kaggle."""

    timeout: Annotated[float, Field(gt=0, le=3600)]
    retries: Annotated[int, Field(ge=0, le=20)]
    backoff: Annotated[float, Field(ge=0, le=600)]
    listing_timeout: Annotated[float, Field(ge=0, le=3600)]
    resend_after: Annotated[float, Field(ge=0, le=10080)]
    poll_interval: Annotated[float, Field(gt=0, le=600)]
    score_timeout: Annotated[float, Field(ge=0, le=1440)]


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
    kaggle: KaggleParams

    def network(self, name: str) -> CnnSpec:
        """`train`, changed by the section of that name in `networks`; DEFAULT: `train` alone. Raises KeyError."""
        if name == DEFAULT:
            return self.train.spec
        return self.over_train(self.networks[name])

    def fits(self, network: CnnSpec) -> bool:
        """Whether the competition's images are large enough for a network."""
        try:
            output_size(parse_layers(network.layers), self.competition.image_shape)
        except ValueError:
            return False
        return True

    @property
    def too_large(self) -> tuple[str, ...]:
        """Names of the networks in `train.candidates` and `train.extra` that need larger images."""
        names = (*self.train.candidates, *self.train.extra)
        return tuple(name for name in names if not self.fits(self.network(name)))

    @property
    def tuned_kind(self) -> str:
        """Kind of the model that `make tune` searches parameters for: cnn or mlp."""
        return "cnn" if self.tune.model == "train" else self.baseline.models[self.tune.model].kind

    def over_train(self, overrides: dict[str, Any]) -> CnnSpec:
        """`train`, changed by what a section of `networks` or `tune.enqueue` says. Raises ValidationError."""
        return CnnSpec.model_validate(overlay(self.train.spec.model_dump(), overrides))

    @model_validator(mode="after")
    def _networks_exist_and_are_valid(self) -> Self:
        for key, names in (("candidates", self.train.candidates), ("extra", self.train.extra)):
            for name in names:
                if name not in (DEFAULT, *self.networks):
                    near = hint(name, self.networks, ["networks"])
                    raise ValueError(f"train.{key}: there is no network {name!r}{near}")
        for path, networks in (("networks", self.networks), ("tune.enqueue", self.tune.enqueue)):
            for name, overrides in networks.items():
                try:
                    self.over_train(overrides)
                except ValidationError as error:
                    raise ValueError(explain(error, CnnSpec, [*path.split("."), name])[0]) from None
        return self

    @model_validator(mode="after")
    def _a_network_fits_the_images(self) -> Self:
        output_size(parse_layers(self.train.layers), self.competition.image_shape)
        if set(self.train.candidates) <= set(self.too_large):
            height, width = self.competition.image_shape
            raise ValueError(
                f"train.candidates = {list(self.train.candidates)}, but images of {height}x{width} pixels are too "
                f"small for all of them; {DEFAULT} is the one that `train` describes"
            )
        return self

    @model_validator(mode="after")
    def _search_is_valid(self) -> Self:
        models = ["train", *(name for name, spec in self.baseline.models.items() if spec.kind == "mlp")]
        if self.tune.model not in models:
            raise ValueError(f"tune.model = {self.tune.model!r}, but it must be one of {', '.join(models)}")
        try:
            narrow_space(self.tuned_kind, self.tune.space)
        except ValueError as error:
            raise ValueError(f"tune.space.{error}") from None
        return self
