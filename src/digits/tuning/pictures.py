"""Pictures of a study, for people."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from matplotlib import pyplot as plt
from optuna.exceptions import ExperimentalWarning
from optuna.importance import get_param_importances
from optuna.trial import TrialState
from optuna.visualization import matplotlib as drawn

from digits.tuning.search import Tried

_MOST = 12  # bars
_FEW = 6  # dimensions in a picture with a part for each
_ENOUGH = 4  # drawn trials that a picture of what matters needs
_WORST = 0.1  # quantile of values at which axes begin: a few failures would press all others into a line


def draw_study(study: optuna.Study, trials: Sequence[Tried], folder: Path) -> list[Path]:
    """Write, as PNG, the pictures that the trials are enough for; returns their paths.

    history: each trial in turn, by how far it went. curves: the best trial of each optimizer, epoch by epoch. And of
    the shortest fits, which all trials have had: importances of the dimensions (PED-ANOVA, Watanabe et al., 2023,
    IJCAI), good trials as lines through the most important ones, and slices along these.
    """
    plt.switch_backend("agg")  # draws into files, also where there is no screen
    folder.mkdir(parents=True, exist_ok=True)
    judged = [trial for trial in trials if trial.results]
    if not judged:
        return []
    written = [_history(judged, folder / "history.png")]
    if any(len(trial.history) > 1 for trial in judged):
        written.append(_curves(judged, folder / "curves.png"))
    shortest = _after_the_first_fit(study)
    if len(shortest.trials) < _ENOUGH:
        return written
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        important = [*get_param_importances(shortest)][:_MOST]
        values = [trial.value for trial in shortest.trials]
        length = judged[0].results[0]["length"]
        pictures: dict[str, Any] = {
            "importances": lambda: drawn.plot_param_importances(shortest, params=important),
            "parallel": lambda: drawn.plot_parallel_coordinate(shortest, params=important[:_FEW]),
            "slices": lambda: drawn.plot_slice(shortest, params=important[:_FEW]),
        }
        for name, picture in pictures.items():
            axes = picture()
            if name == "slices":
                for part in _each(axes):
                    part.set_ylim(bottom=_floor(values))
            written.append(_save(folder / f"{name}.png", _each(axes)[0].figure, f"{name}, fits of {length} epochs"))
    return written


def _after_the_first_fit(study: optuna.Study) -> optuna.Study:
    """The drawn trials with the value of their shortest fit, in a study of their own."""
    copy = optuna.create_study(direction="maximize")
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        if trial.params and trial.intermediate_values and "repeats" not in trial.user_attrs:
            first = trial.intermediate_values[min(trial.intermediate_values)]
            copy.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=first))
    return copy


def _history(trials: Sequence[Tried], path: Path) -> Path:
    figure, axes = plt.subplots()
    for length in sorted({trial.results[-1]["length"] for trial in trials}):
        reached = [trial for trial in trials if trial.results[-1]["length"] == length]
        axes.plot(
            [trial.number for trial in reached], [trial.value for trial in reached], "o", label=f"{length} epochs"
        )
    axes.set(xlabel="trial", ylabel="accuracy", ylim=(_floor([trial.value for trial in trials]), None))
    axes.legend(title="longest fit")
    return _save(path, figure, "each trial after its longest fit")


def _curves(trials: Sequence[Tried], path: Path) -> Path:
    figure, axes = plt.subplots()
    best: dict[str, Tried] = {}
    for trial in sorted(trials, key=lambda each: (len(each.history), each.value)):
        best[_optimizer(trial)] = trial
    for optimizer, trial in sorted(best.items()):
        looked = [(epoch, each["valid_loss"]) for epoch, each in enumerate(trial.history, 1) if "valid_loss" in each]
        axes.plot(*zip(*looked, strict=True), marker="o", label=f"{optimizer}, trial {trial.number}")
    axes.set(xlabel="epoch", ylabel="log loss on the fold's valid part, nats", yscale="log")
    axes.legend()
    return _save(path, figure, "the best trial of each optimizer")


def _optimizer(trial: Tried) -> str:
    return str(trial.overrides.get("optimizer", {}).get("name", "the default's"))


def _floor(values: Sequence[float | None]) -> float:
    known = sorted(value for value in values if value is not None)
    return known[int(_WORST * len(known))] - 0.1 * (known[-1] - known[int(_WORST * len(known))]) - 1e-4


def _each(axes: Any) -> list[Any]:
    return list(axes.ravel()) if hasattr(axes, "ravel") else [axes]


def _save(path: Path, figure: Any, title: str) -> Path:
    wide = len(figure.axes) > 3
    figure.set_size_inches((3.0 * len(figure.axes) if wide else 9.0), 5.0)  # inches
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
