"""params.yaml as frozen, validated objects, and the folders of the project."""

from digits.config.baselines import MlpSpec
from digits.config.competition import Competition
from digits.config.faults import validate
from digits.config.load import load_params
from digits.config.networks import CnnSpec
from digits.config.paths import Paths
from digits.config.schema import (
    BaselineParams,
    DataParams,
    EnsembleParams,
    KaggleParams,
    Params,
    SubmitParams,
    TrainParams,
    TuneParams,
)
from digits.config.section import Augment

__all__ = [
    "Augment",
    "BaselineParams",
    "CnnSpec",
    "Competition",
    "DataParams",
    "EnsembleParams",
    "KaggleParams",
    "MlpSpec",
    "Params",
    "Paths",
    "SubmitParams",
    "TrainParams",
    "TuneParams",
    "load_params",
    "validate",
]
