"""params.yaml as frozen, validated objects, and the folders of the project."""

from digits.config.load import load_params, validate
from digits.config.paths import Paths
from digits.config.schema import (
    Augment,
    BaselineParams,
    CnnSpec,
    Competition,
    DataParams,
    EnsembleParams,
    MlpSpec,
    Params,
    SearchSpace,
    SubmitParams,
    TrainParams,
    TuneParams,
)

__all__ = [
    "Augment",
    "BaselineParams",
    "CnnSpec",
    "Competition",
    "DataParams",
    "EnsembleParams",
    "MlpSpec",
    "Params",
    "Paths",
    "SearchSpace",
    "SubmitParams",
    "TrainParams",
    "TuneParams",
    "load_params",
    "validate",
]
