"""Plots of a study."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from matplotlib import pyplot as plt
from matplotlib.ticker import PercentFormatter
from optuna.importance import get_param_importances
from optuna.trial import TrialState
from optuna.visualization import matplotlib as optuna_plots

from digits.common.plots import Picture, write_pictures
from digits.tuning.records import TrialRecord

_SIZE = (9.0, 5.0)  # inches
_WIDE = 3  # more axes than these need a wider figure
_MOST_BARS = 12
_MOST_AXES = 6  # dimensions in a plot that has an axis for each
_FEWEST_TRIALS = 4  # that were drawn from the space, for a plot of importances
_WORST = 0.2  # share of the lowest values that is left out: a few failures would squeeze the others into a line


def draw_study(study: optuna.Study, trials: Sequence[TrialRecord], folder: Path, name: str) -> dict[str, Picture]:
    """Write the plots for which there are enough trials, as PNG; returns them by name. name: of the study.

    history: the log loss of each trial, by its rung. The others show the lowest rung, at which all trials were fitted:
    importances of the dimensions (PED-ANOVA, Watanabe et al., 2023, IJCAI), and parallel coordinates and slices of the
    most important ones, without the worst trials.
    """
    fitted = [trial for trial in trials if trial.results]
    lowest = _at_lowest_rung(study)
    plots: dict[str, Callable[[], str | None]] = {}
    if fitted:
        plots |= {"history": lambda: _history(fitted)}
    if fitted and len(lowest.trials) >= _FEWEST_TRIALS:
        importances = get_param_importances(lowest)
        after = f"after {fitted[0].results[0]['seconds']:.0f} s"
        plots |= {
            "importances": lambda: _importances(importances, after),
            "parallel": lambda: _parallel(_better(lowest), [*importances][:_MOST_AXES], after),
            "slices": lambda: _slices(_better(lowest), [*importances][:_MOST_AXES], after),
        }
    return write_pictures(folder, name, plots)


def _at_lowest_rung(study: optuna.Study) -> optuna.Study:
    """A study of the trials that were drawn from the space, with their values at the lowest rung."""
    copy = optuna.create_study(direction="maximize")
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        if trial.params and trial.intermediate_values and "repeats" not in trial.user_attrs:
            first = trial.intermediate_values[min(trial.intermediate_values)]
            copy.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=first))
    return copy


def _better(study: optuna.Study) -> optuna.Study:
    """A study without the worst trials, the share _WORST."""
    copy, floor = optuna.create_study(direction="maximize"), _limits([trial.value for trial in study.trials])[0]
    copy.add_trials([trial for trial in study.trials if trial.value is not None and trial.value >= floor])
    return copy


def _history(trials: Sequence[TrialRecord]) -> str:
    _, axes = plt.subplots(figsize=_SIZE)
    for fits in sorted({len(trial.results) for trial in trials}):
        reached = [trial for trial in trials if len(trial.results) == fits]
        numbers, values = [trial.number for trial in reached], [-trial.value for trial in reached]
        axes.plot(numbers, values, "o", label=_seconds(reached[0]))
    full = [trial for trial in trials if trial.full]
    if full:
        best = [min(-trial.value for trial in full[: count + 1]) for count in range(len(full))]
        numbers = [*(trial.number for trial in full), trials[-1].number]
        axes.step(numbers, [*best, best[-1]], where="post", color="0.6", label="best of the longest fits")
    low, high = _limits([trial.value for trial in trials])
    axes.set(xlabel="trial", ylabel="log loss, nats", ylim=(-high, -low))
    axes.grid(visible=True)
    axes.legend(title="a fit of", loc="upper right")
    leader = max(full or trials, key=lambda trial: trial.value)
    last = leader.results[-1]
    return (
        f"{leader.title} has the lowest log loss of {len(trials)} trials: {last['log_loss']:.4f} after "
        f"{_seconds(leader)}, with an accuracy of {last['accuracy']:.4f}"
    )


def _seconds(trial: TrialRecord) -> str:
    return f"{trial.results[-1]['seconds']:.0f} s"


def _importances(importances: Mapping[str, float], after: str) -> str:
    names = [*importances][:_MOST_BARS]
    _, axes = plt.subplots(figsize=_SIZE)
    axes.barh(names[::-1], [importances[name] for name in names[::-1]])
    axes.set(xlabel=f"importance for the log loss {after}, share of the total")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(visible=True, axis="x")
    share = importances[names[0]]
    # trials lie near the best so far, so this is no effect of the dimension itself
    return f"{names[0]} is where the best trials {after} differ most from all: {share:.0%} of the total importance"


def _parallel(study: optuna.Study, names: list[str], after: str) -> str:
    optuna_plots.plot_parallel_coordinate(study, params=names, target_name="minus log loss")
    _restyle(grid=False)  # each axis would have its own grid
    return f"Each line is one of the better trials {after}; the best has {_values(study.best_params, names[:3])}"


def _slices(study: optuna.Study, names: list[str], after: str) -> str:
    optuna_plots.plot_slice(study, params=names, target_name="minus log loss")
    _restyle(grid=True)
    plt.gcf().axes[-1].remove()  # a colour bar that covers the axes
    return f"The better trials {after}, later ones darker; the best has {_values(study.best_params, names[:3])}"


def _restyle(grid: bool) -> None:
    """Give the current figure, drawn by Optuna, this project's size and no titles."""
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
    values = [(name, params[name]) for name in names if name in params]
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values)


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """Limits of an axis that leaves out the lowest values, the share _WORST."""
    ordered = sorted(value for value in values if value is not None)
    low, high = ordered[int(_WORST * len(ordered))], ordered[-1]
    margin = 0.05 * (high - low) + 1e-4
    return low - margin, high + margin
