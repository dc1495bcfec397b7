"""Results of a study for the user: the lines in the terminal, the tables and the report."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from digits.common import markdown
from digits.common.files import write_atomic
from digits.tuning.records import TrialRecord, furthest
from digits.tuning.verdict import Accuracies, Verdict, mean_accuracy

if TYPE_CHECKING:
    import optuna

# of the live table, with widths in characters
_COLUMNS = {"trial": 5, "seconds": 7, "epochs": 6, "accuracy": 8, "log loss": 8, "best so far": 14, "left": 8}


_BEST = 3  # trials of the front, beside those with a name


def header() -> str:
    """The header of the live table."""
    return f"{_row([*_COLUMNS])}  model"


def line(trial: TrialRecord, trials: Sequence[TrialRecord], left: float) -> str:
    """A row of the live table, for the last fit of a trial. trials: all so far. left: seconds for the search."""
    cells = [str(trial.number), *["-"] * 5]
    if trial.results:
        last, count = trial.results[-1], len(trial.results)
        best = max((each for each in (*trials, trial) if len(each.results) >= count), key=lambda each: each.at(count))
        seconds, epochs = f"{last['seconds']:.0f}", f"{last['epochs']:.2g}"
        figures = f"{last['accuracy']:.4f}", f"{last['log_loss']:.4f}"
        cells = [str(trial.number), seconds, epochs, *figures, f"{-best.at(count):.4f} (#{best.number})"]
    cause = f"{trial.cause}: " if trial.cause else ""
    return f"{_row([*cells, f'{max(left, 0) / 60:.1f} min'])}  {cause}{parameters(trial)}"


def _row(cells: Sequence[str]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS.values(), strict=True))


def parameters(trial: TrialRecord) -> str:
    """The trial's name, or its layers, preprocessing, optimizer and learning rate."""
    if trial.name:
        return trial.name
    changed = trial.overrides
    optimizer = changed.get("optimizer", {}).get("name") or changed.get("solver", "")
    rate = changed.get("learning_rate", changed.get("learning_rate_init"))
    layers, components = changed.get("layers", changed.get("hidden_layer_sizes")), changed.get("n_components")
    steps = ["deskewed"] * bool(changed.get("deskew")) + [f"{components} components"] * bool(components)
    return ", ".join([str(layers), *steps, f"{optimizer} {rate}"])


def front(trials: Sequence[TrialRecord], rungs: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """Accuracy against the seconds of a fit: a table of the named models and of the best trials, as titles and rows."""
    ranked = furthest(trials)
    shown = [*ranked[:_BEST], *(trial for trial in ranked[_BEST:] if trial.name)]
    rows = [
        [
            trial.title,
            *(f"{result['accuracy']:.4f}" for result in trial.results),
            *[""] * (len(rungs) - len(trial.results)),
        ]
        for trial in shown
    ]
    return ["accuracy after", *(f"{seconds:.0f} s" for seconds in rungs)], rows


def saved_share(trials: Sequence[TrialRecord]) -> float:
    """Share of the seconds that pruning has saved, compared with one fit at the highest rung for each trial."""
    fitted = [trial for trial in trials if trial.results]
    spent = sum(result["seconds"] for trial in fitted for result in trial.results)
    full = max((trial.results[-1]["seconds"] for trial in fitted), default=0.0)
    return max(0.0, 1 - spent / (full * len(fitted))) if full else 0.0


def summary(trials: Sequence[TrialRecord]) -> str:
    """How many trials there were, and the time that pruning has saved, in a line."""
    unfitted = sum(not trial.results for trial in trials)
    note = f", {unfitted} of them without a fit" if unfitted else ""
    return f"{len(trials)} trials{note}; pruning saved {saved_share(trials):.0%} of the time of full fits of all trials"


def table(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row per trial: how it ended, accuracy and log loss at its highest rung, and its overrides."""
    rows: list[dict[str, Any]] = []
    for trial in trials:
        last = trial.results[-1] if trial.results else {}
        rows.append(
            {
                "trial": trial.number,
                "name": trial.name,
                "ended": "failed" if trial.failed else "full" if trial.full else "pruned",
                "epochs": last.get("epochs"),
                "accuracy": last.get("accuracy"),
                "log_loss": last.get("log_loss"),
                "seconds": sum(result["seconds"] for result in trial.results),
                "cause": trial.cause,
                **trial.overrides,
            }
        )
    return pd.DataFrame(rows)


def confirmation(accuracies: Accuracies, candidates: Mapping[str, TrialRecord | None], verdict: Verdict) -> str:
    """A Markdown table: mean accuracies of each candidate, and its gain over the default; empty before any fit."""
    if not accuracies:
        return ""
    rows = [
        (
            name,
            str(sum(fit.candidate == name for fit in accuracies)),
            *(f"{share:.4f}" if (share := mean_accuracy(accuracies, name, judged)) else "" for judged in (False, True)),
            str(verdict.gains.get(name, "")),
            parameters(trial) if trial else "as in params",
        )
        for name, trial in candidates.items()
    ]
    gained = f"gain over the default ({100 * (1 - 2 * verdict.level):.0f} % CI)"
    columns = ("candidate", "fits", "search fold", "other folds", gained, "parameters")
    return markdown.table(columns, rows, "lrrrrl")


def write(
    folder: Path,
    model: str,
    name: str,
    searched: "optuna.Study",
    trials: Sequence[TrialRecord],
    rungs: Sequence[float],
    candidates: Mapping[str, TrialRecord | None],
    accuracies: Accuracies,
    verdict: Verdict,
) -> None:
    """Write report.md, trials.csv and the pictures into `folder`. model, name: of the study."""
    from digits.tuning.plots import draw_study  # noqa: PLC0415 - Matplotlib and Optuna's importances take seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Optuna's, of dimensions that few trials had
        pictures = draw_study(searched, trials, folder, name)
    write_atomic(folder / "trials.csv", table(trials).to_csv(index=False, lineterminator="\n"))
    titles, rows = front(trials, rungs)
    parts = [
        f"# Search for `{model}`",
        verdict.text,
        confirmation(accuracies, candidates, verdict),
        "The finalist with the best accuracy on the search fold is compared with the default on the other folds, with "
        "other seeds. The gain is the mean over these folds of the differences between fits with the same seed.",
        markdown.table(titles, rows, "l" + "r" * len(rungs)),
        "All fits of a column take the same time: a network that is faster learns from more images in it.",
        f"{summary(trials)} ([trials.csv](trials.csv)).",
        *[f"![{picture.title}]({picture.path.name})" for picture in pictures.values()],
    ]
    write_atomic(folder / "report.md", "\n\n".join(part for part in parts if part) + "\n")
