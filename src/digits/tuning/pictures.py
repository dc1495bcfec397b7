"""Pictures of a study, for people."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from optuna.exceptions import ExperimentalWarning
from optuna.importance import get_param_importances
from optuna.trial import TrialState
from optuna.visualization import matplotlib as drawn

from digits.tuning.search import Tried

_MOST = 12  # bars
_FEW = 6  # dimensions in a picture with a part for each
_ENOUGH = 4  # drawn trials that a picture of what matters needs
_WORST = 0.2  # quantile of values that is left out: a few failures would press all others into a line


def draw_study(study: optuna.Study, trials: Sequence[Tried], folder: Path) -> list[Path]:
    """Write, as PNG, the pictures that the trials are enough for; returns their paths.

    history: each trial in turn, by how far it went. curves: the best trial of each optimizer, epoch by epoch. And of
    the shortest fits, which all trials have had: importances of the dimensions (PED-ANOVA, Watanabe et al., 2023,
    IJCAI), and the most important ones as parallel coordinates and slices, without the worst trials.
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
        after = f"after {_epochs(judged[0].results[0]['length'])}"
        drawn.plot_param_importances(shortest, params=important)
        written.append(_save(folder / "importances.png", f"what matters for the accuracy {after}"))
        better = _better(shortest)
        drawn.plot_parallel_coordinate(better, params=important[:_FEW], target_name="accuracy")
        written.append(_save(folder / "parallel.png", f"a line for each of the better trials {after}"))
        drawn.plot_slice(better, params=important[:_FEW], target_name="accuracy")
        written.append(_save(folder / "slices.png", f"the better trials {after}; the darker, the later"))
    return written


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


def _history(trials: Sequence[Tried], path: Path) -> Path:
    _, axes = plt.subplots()
    for length in sorted({trial.results[-1]["length"] for trial in trials}):
        reached = [trial for trial in trials if trial.results[-1]["length"] == length]
        numbers, values = [trial.number for trial in reached], [trial.value for trial in reached]
        axes.plot(numbers, values, "o", label=_epochs(length))
    if full := [trial for trial in trials if trial.full]:
        best = [max(trial.value for trial in full[: count + 1]) for count in range(len(full))]
        numbers = [*(trial.number for trial in full), trials[-1].number]
        axes.step(numbers, [*best, best[-1]], where="post", color="0.6", label="best of the longest")
    axes.set(xlabel="trial", ylabel="accuracy", ylim=_limits([trial.value for trial in trials]))
    axes.legend(title="longest fit", loc="lower right")
    return _save(path, "each trial after its longest fit")


def _curves(trials: Sequence[Tried], path: Path) -> Path:
    _, axes = plt.subplots()
    best: dict[str, Tried] = {}
    for trial in sorted(trials, key=lambda each: (len(each.history), each.value)):
        best[_optimizer(trial)] = trial
    for optimizer, trial in sorted(best.items()):
        looked = [(epoch, each["valid_loss"]) for epoch, each in enumerate(trial.history, 1) if "valid_loss" in each]
        axes.plot(*zip(*looked, strict=True), marker="o", label=f"{optimizer}, trial {trial.number}")
    axes.set(xlabel="epoch", ylabel="log loss on the fold's valid part, nats", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_minor_formatter("{x:.3g}")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.legend()
    return _save(path, "the best trial of each optimizer, each after as many epochs as it went")


def _optimizer(trial: Tried) -> str:
    return str(trial.overrides.get("optimizer", {}).get("name", "the default's"))


def _epochs(length: int) -> str:
    return "1 epoch" if length == 1 else f"{length} epochs"


def _limits(values: Sequence[float | None]) -> tuple[float, float]:
    """Where an axis begins and ends: the few worst are left out."""
    known = sorted(value for value in values if value is not None)
    low, high = known[int(_WORST * len(known))], known[-1]
    margin = 0.05 * (high - low) + 1e-4
    return low - margin, high + margin


def _save(path: Path, title: str) -> Path:
    """Write the figure that was drawn last."""
    figure = plt.gcf()
    if path.stem == "slices":
        figure.axes[-1].remove()  # a bar of colours that lies upon the parts
    for axes in figure.axes:
        axes.set_title("", loc="left")
        axes.set_title("")
        axes.grid(visible=path.stem != "parallel")  # where each axis would have its own
    parts = len(figure.axes)
    figure.set_size_inches(16.0 if parts > 3 else 9.0, 5.0)  # inches
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
