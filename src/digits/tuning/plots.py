"""Pictures of a study, for people."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from optuna.exceptions import ExperimentalWarning
from optuna.importance import get_param_importances
from optuna.trial import TrialState
from optuna.visualization import matplotlib as drawn_by_optuna

from digits.common.plots import Picture, write_pictures
from digits.tuning.search import TrialRecord

_SIZE = (9.0, 5.0)  # inches
_WIDE = 3  # more axes than these need a wider figure
_MOST = 12  # bars
_FEW = 6  # dimensions in a picture with a part for each
_ENOUGH = 4  # drawn trials that a picture of what matters needs
_WORST = 0.2  # quantile of values that is left out: a few failures would press all others into a line


def draw_study(study: optuna.Study, trials: Sequence[TrialRecord], folder: Path, name: str) -> dict[str, Picture]:
    """Write, as PNG, the pictures that the trials are enough for; returns them by name. name: of the study.

    history: each trial in turn, by how far it went. curves: the best trial of each optimizer, epoch by epoch. And of
    the shortest fits, which all trials have had: importances of the dimensions (PED-ANOVA, Watanabe et al., 2023,
    IJCAI), and the most important ones as parallel coordinates and slices, without the worst trials.
    """
    judged = [trial for trial in trials if trial.results]
    shortest = _after_the_first_fit(study)
    drawn: dict[str, Callable[[], str | None]] = {}
    if judged:
        drawn |= {"history": lambda: _history(judged), "curves": lambda: _curves(judged)}
    if judged and len(shortest.trials) >= _ENOUGH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            importances = get_param_importances(shortest)
        after = f"after {_epochs(judged[0].results[0]['length'])}"
        drawn |= {
            "importances": lambda: _importances(shortest, importances, after),
            "parallel": lambda: _parallel(_better(shortest), [*importances][:_FEW], after),
            "slices": lambda: _slices(_better(shortest), [*importances][:_FEW], after),
        }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return write_pictures(folder, name, drawn)


def _after_the_first_fit(study: optuna.Study) -> optuna.Study:
    """The drawn trials with the value of their shortest fit, in a study of their own."""
    copy = optuna.create_study(direction="maximize")
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        if trial.params and trial.intermediate_values and "repeats" not in trial.user_attrs:
            first = trial.intermediate_values[min(trial.intermediate_values)]
            copy.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=first))
    return copy


def _better(study: optuna.Study) -> optuna.Study:
    """All trials but those of the quantile _WORST, in a study of their own."""
    copy, floor = optuna.create_study(direction="maximize"), _limits([trial.value for trial in study.trials])[0]
    copy.add_trials([trial for trial in study.trials if trial.value is not None and trial.value >= floor])
    return copy


def _history(trials: Sequence[TrialRecord]) -> str:
    _, axes = plt.subplots(figsize=_SIZE)
    for length in sorted({trial.results[-1]["length"] for trial in trials}):
        reached = [trial for trial in trials if trial.results[-1]["length"] == length]
        numbers, values = [trial.number for trial in reached], [trial.value for trial in reached]
        axes.plot(numbers, values, "o", label=_epochs(length))
    full = [trial for trial in trials if trial.full]
    if full:
        best = [max(trial.value for trial in full[: count + 1]) for count in range(len(full))]
        numbers = [*(trial.number for trial in full), trials[-1].number]
        axes.step(numbers, [*best, best[-1]], where="post", color="0.6", label="best of the longest")
    axes.set(xlabel="trial", ylabel="accuracy", ylim=_limits([trial.value for trial in trials]))
    axes.grid(visible=True)
    axes.legend(title="longest fit", loc="lower right")
    leader = max(full or trials, key=lambda trial: trial.value)
    last = leader.results[-1]
    return (
        f"Of {len(trials)} trials, number {leader.number} is the most accurate after {_epochs(last['length'])}, "
        f"{last['accuracy']:.4f}"
    )


def _curves(trials: Sequence[TrialRecord]) -> str | None:
    best: dict[str, TrialRecord] = {}
    for trial in sorted(trials, key=lambda each: (len(each.history), each.value)):
        if any("valid_loss" in epoch for epoch in trial.history):
            best[_optimizer(trial)] = trial
    if max((len(trial.history) for trial in best.values()), default=0) < 2:  # epochs
        return None
    _, axes = plt.subplots(figsize=_SIZE)
    last = {}
    for optimizer, trial in sorted(best.items()):
        looked = [(epoch, each["valid_loss"]) for epoch, each in enumerate(trial.history, 1) if "valid_loss" in each]
        axes.plot(*zip(*looked, strict=True), marker="o", label=f"{optimizer}, trial {trial.number}")
        last[optimizer] = looked[-1]
    axes.set(xlabel="epoch", ylabel="log loss on the fold's valid part, nats", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_minor_formatter("{x:.3g}")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.grid(visible=True)
    axes.legend()
    lowest = min(last, key=lambda optimizer: last[optimizer][1])
    return (
        f"The best trial of {lowest} has the lowest loss of all, {last[lowest][1]:.3g} after {_epochs(last[lowest][0])}"
    )


def _importances(study: optuna.Study, importances: Mapping[str, float], after: str) -> str:
    shown = [*importances][:_MOST]
    drawn_by_optuna.plot_param_importances(study, params=shown)
    _settle(grid=True)
    return (
        f"{shown[0]} decides most of the accuracy {after}: {importances[shown[0]]:.0%} of what the dimensions explain"
    )


def _parallel(study: optuna.Study, shown: list[str], after: str) -> str:
    # each axis would have a grid of its own
    drawn_by_optuna.plot_parallel_coordinate(study, params=shown, target_name="accuracy")
    _settle(grid=False)
    return f"A line for each of the better trials {after}; the best has {_values(study.best_params, shown[:3])}"


def _slices(study: optuna.Study, shown: list[str], after: str) -> str:
    drawn_by_optuna.plot_slice(study, params=shown, target_name="accuracy")
    _settle(grid=True)
    plt.gcf().axes[-1].remove()  # a bar of colours that lies upon the parts
    return f"The darker, the later: the better trials {after}, whose best has {_values(study.best_params, shown[:3])}"


def _settle(grid: bool) -> None:
    """The current figure, which Optuna has drawn, in this project's size and without a title of its own."""
    figure = plt.gcf()
    for axes in figure.axes:
        axes.set_title("", loc="left")
        axes.set_title("")
        axes.grid(visible=grid)
    if len(figure.axes) > _WIDE:
        figure.set_size_inches(16.0, 5.0)
    else:
        figure.set_size_inches(*_SIZE)


def _values(params: Mapping[str, Any], names: Sequence[str]) -> str:
    shown = {name: params[name] for name in names if name in params}
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )


def _optimizer(trial: TrialRecord) -> str:
    return trial.optimizer or "the default's"


def _epochs(length: int) -> str:
    return "1 epoch" if length == 1 else f"{length} epochs"


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """Where an axis begins and ends: the few worst are left out."""
    known = sorted(value for value in values if value is not None)
    low, high = known[int(_WORST * len(known))], known[-1]
    margin = 0.05 * (high - low) + 1e-4
    return low - margin, high + margin
