"""params.yaml as frozen, validated objects, and the folders of the project."""

from digits.config.baselines import MlpSpec
from digits.config.competition import Competition
from digits.config.faults import validate
from digits.config.load import load_params
from digits.config.networks import CnnSpec
from digits.config.paths import Paths
from digits.config.schema import KaggleParams, Params

__all__ = ["CnnSpec", "Competition", "KaggleParams", "MlpSpec", "Params", "Paths", "load_params", "validate"]
