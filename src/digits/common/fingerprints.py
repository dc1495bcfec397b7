"""The modules and libraries that decide the results of each computation: if one changes, it is computed again.

Modules are named without the package. tests/test_fingerprints.py follows the imports: every module that a computation
imports must be on its list, or on the test's list of modules that do not affect results.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Computation:
    """The code and the libraries that decide the results of one computation.

    entries: modules in which it begins. imported: modules that these import, directly or indirectly. libraries:
    distributions whose versions count, including those that they depend on.
    """

    entries: tuple[str, ...]
    imported: tuple[str, ...]
    libraries: tuple[str, ...]

    @property
    def modules(self) -> frozenset[str]:
        """All modules whose code counts."""
        return frozenset((*self.entries, *self.imported))


_SKLEARN = ("numpy", "scipy", "scikit-learn")
_KERAS = (*_SKLEARN, "keras", "tensorflow")

_FOLD_LOOP = ("data.dataset", "evaluation.metrics", "models", "training.crossval")
_RUN = (*_FOLD_LOOP, "training.runs")
_NETWORK = ("models.architecture", "models.cnn.libraries", "models.cnn.loop", "models.cnn.muon", "models.cnn.network")
_PIPELINE = ("models.baselines.pipelines", "models.preprocessing", "models.warping")
_CNN = (
    *_NETWORK,
    "evaluation.calibration",
    "evaluation.metrics",
    "models",
    "models.augmentation",
    "models.cnn.augmentation",
    "models.cnn.batches",
    "models.cnn.callbacks",
    "models.cnn.classifier",
    "models.cnn.in_time",
    "models.cnn.optimization",
    "models.preprocessing",
    "models.warping",
)
_SEARCH = (
    "tuning.confirmation",
    "tuning.origin",
    "tuning.pruner",
    "tuning.records",
    "tuning.sampler",
    "tuning.search",
    "tuning.session",
    "tuning.study",
    "tuning.trial",
    "tuning.trial_fits",
    "tuning.verdict",
)
_TRIALS = (
    *_FOLD_LOOP,
    "config.baselines",
    "config.networks",
    "config.section",
    "evaluation.calibration",
    "models.architecture",
    "models.distributions",
    "models.points",
    "models.search_space",
)
_RECIPE = ("replication.fits", "replication.unit")


def _fits(family: str, modules: tuple[str, ...], libraries: tuple[str, ...] = _SKLEARN) -> Computation:
    """The fits of one kind of model, on folds and on all labelled images."""
    return Computation(("training.fitting", family), (*_RUN, *modules), libraries)


COMPUTATIONS = {
    "data": Computation(
        ("data.build",),
        (
            "config.competition",
            "data.csv_header",
            "data.csv_reader",
            "data.csv_rows",
            "data.dataset",
            "data.duplicates",
            "data.folds",
            "data.ink",
            "data.labels",
            "data.pixels",
        ),
        (*_SKLEARN, "pandas"),
    ),
    "sample": Computation(("data.sample",), ("data.dataset",), ("numpy",)),
    "mlp": _fits("models.baselines.mlp", _PIPELINE),
    "augmented-mlp": _fits("models.baselines.augmented_mlp", (*_PIPELINE, "models.augmentation")),
    **dict.fromkeys(("logistic", "knn", "svm", "extra-trees"), _fits("models.baselines.classical", _PIPELINE)),
    "cnn": _fits("models.cnn", _CNN, _KERAS),
    "tuning mlp": Computation((*_SEARCH, "models.baselines.mlp"), (*_TRIALS, *_PIPELINE), (*_SKLEARN, "optuna")),
    "tuning cnn": Computation((*_SEARCH, "models.cnn"), (*_TRIALS, *_CNN), (*_KERAS, "optuna")),
    "recipes mlp": Computation((*_RECIPE, "models.baselines.mlp"), (*_FOLD_LOOP, *_PIPELINE), _SKLEARN),
    "recipes cnn": Computation((*_RECIPE, "models.cnn"), (*_FOLD_LOOP, *_CNN), _KERAS),
    "toy examples": Computation(("replication.toy_examples", "models.cnn"), _CNN, _KERAS),
    "blend": Computation(
        ("ensemble.members", "ensemble.selection", "ensemble.combine", "ensemble.blend", "ensemble.disagreement"),
        (*_RUN, "evaluation.calibration", "evaluation.expected_score", "evaluation.scoring"),
        _SKLEARN,
    ),
    "device probe": Computation(
        ("training.probing", "models.cnn.probe"), ("common.rounds", *_NETWORK), ("numpy", "keras", "tensorflow")
    ),
    "timing": Computation(("training.timing", "models.cnn"), ("common.rounds", *_RUN, *_CNN), _KERAS),
}
