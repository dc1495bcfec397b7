"""What decides the numbers of each computation: the modules and the libraries whose change computes them anew.

Modules are named without the package. tests/test_fingerprints.py follows the imports: every module that a computation
imports must be on its list, or on that of those which decide nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Computation:
    """What decides the numbers of one computation.

    entries: modules in which it begins. imported: by them, directly or through others. libraries: distributions whose
    versions count, with those that they build on.
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
_NETWORK = (
    "models.architecture",
    "models.cnn.libraries",
    "models.cnn.loop",
    "models.cnn.muon",
    "models.cnn.network",
)
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
    "models.cnn.optimization",
    "models.preprocessing",
    "models.warping",
)
_SEARCH = (
    "tuning.confirmation",
    "tuning.records",
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
    "models.architecture",
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
        ),
        (*_SKLEARN, "pandas"),
    ),
    "mlp": _fits("models.baselines.mlp", _PIPELINE),
    "augmented-mlp": _fits("models.baselines.augmented_mlp", (*_PIPELINE, "models.augmentation")),
    **dict.fromkeys(
        ("logistic", "knn", "svm", "extra-trees"),
        _fits("models.baselines.classical", _PIPELINE),
    ),
    "cnn": _fits("models.cnn", _CNN, _KERAS),
    "tuning mlp": Computation((*_SEARCH, "models.baselines.mlp"), (*_TRIALS, *_PIPELINE), (*_SKLEARN, "optuna")),
    "tuning cnn": Computation((*_SEARCH, "models.cnn"), (*_TRIALS, *_CNN), (*_KERAS, "optuna")),
    "recipes mlp": Computation((*_RECIPE, "models.baselines.mlp"), (*_FOLD_LOOP, *_PIPELINE), _SKLEARN),
    "recipes cnn": Computation((*_RECIPE, "models.cnn"), (*_FOLD_LOOP, *_CNN), _KERAS),
    "toy examples": Computation(("replication.toy_examples", "models.cnn"), _CNN, _KERAS),
    "blend": Computation(
        ("ensemble.members", "ensemble.selection", "ensemble.combine", "ensemble.blend", "ensemble.disagreement"),
        (*_RUN, "evaluation.calibration", "evaluation.expected_score"),
        _SKLEARN,
    ),
    "device probe": Computation(
        ("training.probing", "models.cnn.probe"), ("common.rounds", *_NETWORK), ("numpy", "keras", "tensorflow")
    ),
    "timing": Computation(("training.timing", "models.cnn"), ("common.rounds", *_RUN, *_CNN), _KERAS),
}

# Modules, and packages with all that is in them, that decide no number of the computations that do not list them.
DECIDE_NOTHING = {
    "cli": "passes params and results on; what it keeps is named after everything that decides it",
    "common.code_version": "hashes the code, computes nothing",
    "common.console": "shows what happens",
    "common.errors": "exceptions",
    "common.files": "writes and reads bytes as they are",
    "common.fingerprints": "these lists",
    "common.host": "what it says of the machine is in the fingerprints themselves",
    "common.logs": "the log file",
    "common.markdown": "how tables look",
    "common.matching": "suggests names in messages",
    "common.plots": "how pictures look",
    "common.processes": "where something is computed, not what",
    "common.syntax": "reads the code, computes nothing",
    "config.faults": "how faults of params are worded",
    "config.load": "resolved params are in the fingerprints themselves",
    "config.networks": "resolved params are in the fingerprints themselves",
    "config.overrides": "resolved params are in the fingerprints themselves",
    "config.paths": "where files lie",
    "config.renames": "refuses old names, or leaves params as they are",
    "config.schema": "resolved params are in the fingerprints themselves",
    "config.section": "resolved params are in the fingerprints themselves",
    "config.yaml_reader": "resolved params are in the fingerprints themselves",
    "data.cache": "names the folder of the arrays",
    "data.practice": "the hashes of the files that it makes are in the fingerprint of the data",
    "data.sources": "the hashes of the files that it finds are in the fingerprint of the data",
    "evaluation.ranking": "made anew by each command",
    "evaluation.reliability": "made anew by each command",
    "kaggle": "sends files and asks for their scores",
    "models.cnn.quiet": "keeps the notices of TensorFlow from the terminal while it is loaded",
    "replication.findings": "made anew by each command",
    "replication.plots": "made anew by each command",
    "replication.recipe": "resolved recipes are in the fingerprints themselves",
    "replication.table": "made anew by each command",
    "replication.timing": "in which order recipes are fitted",
    "report": "made anew by each command",
    "training.allocation": "which fits are made; a fit is named after its fold or its seed and epochs",
    "training.budget": "which fits are made; the blend is named after its members and their fits",
    "training.candidates": "which networks may be fitted; a run is named after its params",
    "training.device": "what it settles, as the precision and the batch size, is in the fingerprints themselves",
    "training.executor": "which fits are made, when, on which device",
    "training.schedule": "which fits are made; a fit is named after its fold or its seed and epochs",
    "training.tuned": "what a study found; a run is named after its params",
    "tuning.plots": "made anew by each command",
    "tuning.report": "made anew by each command",
    "tuning.storage": "keeps the values of trials as they are",
}

# Libraries, by the distribution's name, that the modules on the lists import and that decide no number.
LIBRARIES_DECIDE_NOTHING = {
    "joblib": "where something is computed, and how a fitted pipeline is kept",
    "matplotlib": "how pictures look",
    "pydantic": "refuses params or leaves them as they are",
    "threadpoolctl": "how many threads compute; the modules say it",
}
