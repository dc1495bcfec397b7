"""What a study found, as tables and text for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from digits.evaluation.metrics import Gain
from digits.tuning.confirmation import Unit, mean_accuracy
from digits.tuning.search import TrialRecord

HEADINGS = ("trial", "accuracy", "epochs", "ended", "best so far", "left", "what")
_WIDTHS = (5, 8, 6, 7, 14, 8)  # characters of all columns but the last


def line(trial: TrialRecord, best: TrialRecord | None, left: float) -> str:
    """A row of the live table. best: of the trials of the full length so far. left: seconds for the search."""
    value = f"{trial.results[-1]['accuracy']:.4f}" if trial.results else "-"
    length = str(trial.results[-1]["length"]) if trial.results else "-"
    leading = f"{best.results[-1]['accuracy']:.4f} (#{best.number})" if best else "-"
    cells = (str(trial.number), value, length, ended(trial), leading, f"{max(left, 0) / 60:.1f} min")
    note = f"{trial.cause}: " if trial.cause else ""
    return f"{row(cells)}  {note}{what(trial)}"


def row(cells: Sequence[str]) -> str:
    """Cells in columns, numbers to the right."""
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def ended(trial: TrialRecord) -> str:
    """How a trial ended, in a word."""
    if trial.failed:
        return "failed"
    return "full" if trial.full else "pruned"


def what(trial: TrialRecord) -> str:
    """What a trial tried, short."""
    if trial.name:
        return trial.name
    optimizer = trial.optimizer or trial.overrides.get("solver", "")
    rate = trial.overrides.get("learning_rate", trial.overrides.get("learning_rate_init"))
    layers = trial.overrides.get("layers", trial.overrides.get("hidden_layer_sizes"))
    return f"{layers}, {optimizer} {rate}"


def best_of(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those of the full length, the best first."""
    return sorted((trial for trial in trials if trial.full), key=lambda trial: trial.value, reverse=True)


def furthest(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those with a fit, by how far they went and then by how good they were there, the best first."""
    judged = [trial for trial in trials if trial.results and not trial.failed]
    return sorted(judged, key=lambda trial: (len(trial.results), trial.value), reverse=True)


def saved_share(trials: Sequence[TrialRecord]) -> float:
    """Share of the seconds of fitting that was saved by giving up early, of one full fit for each trial."""
    judged = [trial for trial in trials if trial.results]
    full = max((trial.results[-1]["length"] for trial in judged), default=1)
    spent = sum(result["seconds"] for trial in judged for result in trial.results)
    all_full = sum(trial.results[-1]["seconds"] * full / trial.results[-1]["length"] for trial in judged)
    return 1 - spent / all_full if all_full else 0.0


def summary(trials: Sequence[TrialRecord]) -> str:
    """How many trials there were, and what giving up early has saved."""
    refused = sum(not trial.results for trial in trials)
    unfitted = f", {refused} of them without a fit" if refused else ""
    return f"{len(trials)} trials{unfitted}; giving up early saved {saved_share(trials):.0%} of fitting all to the end"


def table(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row per trial: how it ended, accuracy and log loss after its longest fit, and what it put over the default."""
    rows: list[dict[str, Any]] = []
    for trial in trials:
        last = trial.results[-1] if trial.results else {}
        rows.append(
            {
                "trial": trial.number,
                "name": trial.name,
                "ended": ended(trial),
                "epochs": last.get("length"),
                "accuracy": last.get("accuracy"),
                "log_loss": last.get("log_loss"),
                "seconds": sum(result["seconds"] for result in trial.results),
                "cause": trial.cause,
                **trial.overrides,
            }
        )
    return pd.DataFrame(rows)


def confirmation(
    found: Mapping[Unit, float], candidates: Mapping[str, TrialRecord | None], gains: Mapping[str, Gain]
) -> str:
    """A Markdown table: mean accuracy of each candidate, and its gain over the default; empty before any fit."""
    if not found:
        return ""
    rows = ["| candidate | fits | mean accuracy | gain over the default (95 %) | what |", "|---|---:|---:|---:|---|"]
    for name, trial in candidates.items():
        fits = sum(unit.candidate == name for unit in found)
        gained = str(gains[name]) if name in gains else ""
        shown = what(trial) if trial else "params.yaml"
        rows.append(f"| {name} | {fits} | {mean_accuracy(found, name):.4f} | {gained} | {shown} |")
    return "\n".join(rows)
